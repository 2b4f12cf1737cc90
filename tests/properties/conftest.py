"""What the properties of the endpoints ask for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.properties.endpoints_world import World, open_world


@pytest.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> AsyncIterator[World]:
    """One provider for all examples."""
    async with open_world(tmp_path_factory.mktemp("properties"), sqlite_template) as made:
        yield made
