"""A provider whose clock stands still unless it is moved, so that edges are exact."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx

from authsvc.app import create_app
from authsvc.config import Settings
from tests.provider import MovableClock, Provider


class FrozenClock(MovableClock):
    """Tells the time at which it was made, moved."""

    def __init__(self) -> None:
        super().__init__()
        self._made_at = datetime.now(UTC).replace(microsecond=0) + timedelta(milliseconds=500)

    def now(self) -> datetime:
        """Return that time plus the offset."""
        return self._made_at + self.offset


@asynccontextmanager
async def open_frozen_provider(settings: Settings) -> AsyncIterator[Provider]:
    """Start the app under a frozen clock and stop it afterwards."""
    clock = FrozenClock()
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=settings.issuer) as http:
            provider = Provider(app, settings, clock, http)
            yield provider
            for browser in provider._browsers:
                await browser.close()
