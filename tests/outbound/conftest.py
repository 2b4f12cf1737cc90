"""What each test of the guarded client starts with."""

import pytest

from authsvc.logs import get_logger


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client log to where a test listens: a logger stays as it was first used."""
    name = "authsvc.outbound.client"
    monkeypatch.setattr(f"{name}._log", get_logger(name))
