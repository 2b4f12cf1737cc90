"""How often a URL is asked again: for a newer answer, and after a failure."""

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from authsvc.outbound import OutboundError
from authsvc.outbound.errors import Busy
from authsvc.outbound.recent import FAILURE_LIFETIME, MAX_REMEMBERED, RENEWALS, Failures, Renewals
from tests.outbound.open_client import StandingClock, failure_of, open_outbound
from tests.web_servers import Answer, ReceivedRequest, open_web_server

_FRESH = {"Cache-Control": "max-age=600"}


async def test_a_fresh_answer_is_renewed_five_times_a_minute() -> None:
    clock = StandingClock()
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, clock=clock) as outbound,
    ):
        counter = iter(range(100))

        async def count(_request: ReceivedRequest) -> Answer:
            return Answer(headers=_FRESH, body=b"%d" % next(counter))

        server.handle("/", count)
        await outbound.get(server.url)
        answers = [await outbound.get(server.url, renew=True) for _ in range(RENEWALS + 5)]
        assert answers == [b"%d" % min(number, RENEWALS) for number in range(1, RENEWALS + 6)]
        clock.move(59)
        assert await outbound.get(server.url, renew=True) == b"5"
        clock.move(1)
        assert await outbound.get(server.url, renew=True) == b"6"
        assert await outbound.get(server.url) == b"6"


async def test_renewals_that_fail_count_as_well() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers=_FRESH, body=b"old")
        await outbound.get(server.url, lane="essential")
        server.respond("/", 404)
        for _ in range(RENEWALS):
            with pytest.raises(OutboundError, match="404"):
                await outbound.get(server.url, renew=True, lane="essential")
        assert await outbound.get(server.url, renew=True, lane="essential") == b"old"
        assert len(server.requests) == 1 + RENEWALS


@pytest.mark.parametrize("headers", [{"Cache-Control": "no-store"}, {"ETag": '"1"'}, {}])
async def test_an_answer_that_is_not_stored_or_stale_at_once_is_renewed_no_more_often(
    headers: dict[str, str],
) -> None:
    clock = StandingClock()
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, clock=clock) as outbound,
    ):
        server.respond("/", headers=headers, body=b"keys")
        for number in range(RENEWALS):
            # One URL, whatever its fragment says.
            url = f"{server.url}/#{number}"
            assert await outbound.get(url, renew=True, lane="essential") == b"keys"
        with pytest.raises(Busy) as caught:
            await outbound.get(server.url, renew=True, lane="essential")
        assert caught.value.temporary
        assert len(server.requests) == RENEWALS
        assert await outbound.get(server.url, lane="essential") == b"keys"
        clock.move(60)
        assert await outbound.get(server.url, renew=True, lane="essential") == b"keys"


async def test_renewals_at_once_are_one() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers=_FRESH, body=b"x")
        await outbound.get(server.url)
        await asyncio.gather(*(outbound.get(server.url, renew=True) for _ in range(20)))
        assert len(server.requests) == 2


async def test_a_failure_stands_for_thirty_seconds_in_the_lane_of_content() -> None:
    clock = StandingClock()
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, clock=clock) as outbound,
    ):
        server.respond("/", 429)
        labels = {"method": "GET", "outcome": "cached"}
        before = REGISTRY.get_sample_value("authsvc_outbound_requests_total", labels) or 0
        with capture_logs() as logs:
            errors = [await failure_of(outbound, server.url, lane="content") for _ in range(9)]
        assert {(error.reason, error.temporary, error.host) for error in errors} == {
            ("the host answered 429", True, f"localhost:{server.port}")
        }
        assert (len(server.requests), len(logs)) == (1, 1)
        after = REGISTRY.get_sample_value("authsvc_outbound_requests_total", labels)
        assert after == before + 8

        server.respond("/", body=b"here")
        assert await outbound.get(server.url, accept="image/*") == b"here"  # asked for otherwise
        clock.move(29)
        await failure_of(outbound, server.url, lane="content")
        clock.move(1)
        assert await outbound.get(server.url) == b"here"


async def test_a_failure_is_forgotten_at_once_in_the_essential_lane() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", 404)
        await failure_of(outbound, server.url, lane="content")
        await failure_of(outbound, server.url, lane="essential")
        server.respond("/", body=b"here")
        assert await outbound.get(server.url, lane="essential") == b"here"
        await failure_of(outbound, server.url, lane="content")


async def test_what_was_only_too_busy_here_is_not_remembered() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", body=b"x")
        for _ in range(RENEWALS):
            await outbound.get(server.url, renew=True)
        for _ in range(2):
            with pytest.raises(Busy):
                await outbound.get(server.url, renew=True)


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    now, failures, renewals = StandingClock().now(), Failures(), Renewals()
    for number in range(MAX_REMEMBERED + 1):
        failures.note(number, OutboundError("away", temporary=False), now)
        for _ in range(RENEWALS):
            renewals.note(str(number), now)
    assert [failures.find(key, now) is None for key in (0, 1, MAX_REMEMBERED)] == [
        True,
        False,
        False,
    ]
    assert [renewals.is_spent(str(key), now) for key in (0, 1, MAX_REMEMBERED)] == [
        False,
        True,
        True,
    ]
    assert failures.find(1, now + FAILURE_LIFETIME) is None
    assert failures.find(1, now + FAILURE_LIFETIME - timedelta(seconds=1)) is not None
