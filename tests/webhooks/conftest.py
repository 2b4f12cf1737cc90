"""What tests of webhooks may ask for."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from authsvc.jobs import scheduler
from tests.conftest import Backend, OpenProvider
from tests.event_receiver import NETWORKS, EventReceiver, open_event_receiver
from tests.provider import Provider

OpenTeller = Callable[..., Any]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing run but what a test runs."""
    monkeypatch.setattr(scheduler, "SCHEDULE", ())


@pytest.fixture
async def receiver() -> AsyncIterator[EventReceiver]:
    """A receiver of webhooks."""
    async with open_event_receiver() as running:
        yield running


@pytest.fixture
def open_tellers(
    by_hand: None, receiver: EventReceiver, open_providers: OpenProvider
) -> OpenTeller:
    """Open providers that reach the receiver: loopback is a network that webhooks may go to."""

    async def open_one(backend: Backend, **overrides: Any) -> Provider:
        reaching = {"webhook_networks": NETWORKS, "outbound_ca_file": receiver.web.ca_file}
        running: Provider = await open_providers(backend, **(reaching | overrides))
        return running

    return open_one


@pytest.fixture
async def teller(backend: Backend, open_tellers: OpenTeller) -> Provider:
    """A provider that reaches the receiver, on each backend in turn."""
    running: Provider = await open_tellers(backend)
    return running


@pytest.fixture
async def sqlite_teller(sqlite_backend: Backend, open_tellers: OpenTeller) -> Provider:
    """A provider that reaches the receiver, on the embedded defaults."""
    running: Provider = await open_tellers(sqlite_backend)
    return running
