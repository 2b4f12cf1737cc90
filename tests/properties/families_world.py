"""The provider that the machine of refresh families drives, on a loop of its own."""

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tests.conftest import Backend
from tests.properties.frozen_clock import open_frozen_provider
from tests.provider import Provider, TestClient

_METHODS: Final = ("client_secret_basic", "client_secret_basic", "none")


class World:
    """One provider for every run of the machine, on a loop of its own."""

    def __init__(self, template: Path) -> None:
        self.runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._folder = tempfile.mkdtemp()
        path = Path(self._folder) / "authsvc.db"
        shutil.copy(template, path)
        backend = Backend("sqlite", f"sqlite:///{path}", None)
        self.provider: Provider = self.runner.run(
            self._stack.enter_async_context(
                open_frozen_provider(backend.settings(log_level="error", session_ttl=10**9))
            )
        )
        self.clients = [self._make_client(method) for method in _METHODS]

    def _make_client(self, method: str) -> TestClient:
        return self.runner.run(self.provider.create_client(token_endpoint_auth_method=method))

    def close(self) -> None:
        """Stop the provider."""
        self.runner.run(self._stack.aclose())
        self.runner.close()
        shutil.rmtree(self._folder)
