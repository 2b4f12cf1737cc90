"""Tables are as large as what lives: a month of traffic leaves them no larger than half of it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from authsvc.jobs import deliver_outbox as job
from authsvc.jobs import deliver_webhooks, scheduler
from authsvc.oauth.server import AuthorizationServer
from authsvc.outbound import OutboundError
from authsvc.storage.purge import PURGES
from authsvc.webhooks.messages import WEBHOOK
from tests.conftest import Backend, OpenProvider
from tests.jobs.month_of_traffic import DAYS, Month, begin_month
from tests.provider import Provider
from tests.registration import registered

GROWS = {"audit_events", "audit_checkpoints"}
"""What is never purged."""
TOLERANCE = 1.05


async def refuse(_server: AuthorizationServer, _payload: Mapping[str, Any]) -> None:
    raise OutboundError("the client is gone", temporary=False)


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
async def test_every_table_is_flat_over_a_month_of_traffic(
    make_backend: Any, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Lives are shorter than the defaults, so that they fit into a month several times."""
    monkeypatch.setattr(scheduler, "SCHEDULE", ())
    monkeypatch.setattr(job, "HANDLERS", dict.fromkeys(job.HANDLERS, refuse))
    monkeypatch.setattr(deliver_webhooks, "WEBHOOK_HANDLERS", {WEBHOOK: refuse})
    backend: Backend = make_backend(name)
    provider: Provider = await open_providers(
        backend,
        refresh_token_ttl=timedelta(days=6),
        refresh_token_idle_ttl=timedelta(days=3),
        outbox_dead_ttl=timedelta(days=5),
        registration="open",
        log_level="error",
    )
    month = await begin_month(provider)
    await registered(provider)

    await month.live_through()

    report(month, name)
    half = DAYS // 2
    first = {t: max(day[t] for day in month.sizes[:half]) for t in month.sizes[0]}
    second = {t: max(day[t] for day in month.sizes[half:]) for t in month.sizes[0]}
    grown = {t: (first[t], second[t]) for t in first if second[t] > first[t] * TOLERANCE}
    assert grown.keys() == GROWS
    # Each of them has had rows that came and went.
    for table in {purge.partition(" ")[0] for purge in PURGES}:
        assert first[table] > 0, table


def report(month: Month, name: str) -> None:
    """Print the figures: ``pytest -s`` shows them."""
    days = [1, 5, 10, 15, 20, 25, 30]
    lines = [f"{name + ', most rows on day':24}" + "".join(f"{day:>7}" for day in days)]
    for table in sorted(month.sizes[0]):
        sizes = [month.sizes[day - 1][table] for day in days]
        lines += [f"{table:24}" + "".join(f"{size:>7}" for size in sizes)] if any(sizes) else []
    print("", *lines, sep="\n")  # noqa: T201  # the figures are what the test is for
