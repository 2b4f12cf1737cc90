"""The provider that is certified: everything on, over TLS as far as it can tell.

One for the tests of a module, for a suite shares it, too: each has a person, clients and
browsers of its own, and the real time when it begins.
"""

import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from authsvc.jobs import scheduler
from tests.certification.person import ADDRESS, PHONE, PROFILE
from tests.certification.suite import Suite
from tests.conftest import Backend
from tests.provider import Provider, open_provider

ISSUER = "https://op.example"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def nothing_scheduled() -> Iterator[None]:
    """Let no job run but when a test says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduler, "SCHEDULE", ())
        yield


@pytest.fixture(scope="module")
async def certified(
    nothing_scheduled: None, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Provider]:
    """A running provider with everything on."""
    path = tmp_path_factory.mktemp("certified") / "authsvc.db"
    shutil.copy(sqlite_template, path)
    settings = Backend("sqlite", f"sqlite:///{path}", None).settings(
        issuer=ISSUER,
        registration="open",
        implicit_flow=True,
        hybrid_flow=True,
        outbound_loopback=True,
    )
    async with open_provider(settings) as running:
        yield running


@pytest.fixture
async def suite(certified: Provider) -> AsyncIterator[Suite]:
    """The suite with a person who has all claims, and the provider's metadata."""
    email = f"ada{next(_numbers)}@people.example"
    person = await certified.create_user(
        email=email, email_verified=True, claims={**PROFILE, **PHONE, "address": ADDRESS}
    )
    metadata = (await certified.http.get(f"{ISSUER}/.well-known/openid-configuration")).json()
    yield Suite(certified, person, metadata, email)
    certified.clock.offset = timedelta()
