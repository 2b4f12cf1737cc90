"""Networks that a setting names are for webhooks, and for a name that is all in them."""

from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network

import pytest

from authsvc.outbound import Outbound, OutboundError
from tests.outbound.open_client import ProgrammedResolver, RecordingDialer, StandingClock

NETWORKS = [ip_network(text) for text in ("10.0.0.0/8", "192.168.7.0/24", "fd00::/8")]


def open_events(
    *answers: Sequence[str], dialer: RecordingDialer, loopback: bool = False
) -> Outbound:
    return Outbound(
        loopback=loopback,
        ca_file=None,
        timeout=timedelta(seconds=5),
        clock=StandingClock(),
        event_networks=NETWORKS,
        resolver=ProgrammedResolver({"hooks.example": answers}),
        dialer=dialer,
    )


async def post(outbound: Outbound, url: str = "https://hooks.example/") -> OutboundError:
    with pytest.raises(OutboundError) as caught:
        await outbound.post_event(url, b"{}", {})
    return caught.value


@pytest.mark.parametrize(
    "addresses",
    [["10.1.2.3"], ["10.1.2.3", "192.168.7.9"], ["fd00::1", "10.0.0.1"], ["1.1.1.1"]],
)
async def test_a_name_that_is_in_the_networks_or_public_is_connected_to(
    addresses: list[str],
) -> None:
    dialer = RecordingDialer()
    outbound = open_events(addresses, dialer=dialer)
    error = await post(outbound)
    assert "no connection" in error.reason
    assert dialer.dialed == [(address, 443) for address in addresses]
    await outbound.aclose()


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.1.2.3", "1.1.1.1"],
        ["10.1.2.3", "172.16.0.1"],
        ["192.168.8.1"],
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:10.1.2.3"],
        ["64:ff9b::10.1.2.3"],
        ["fe80::1"],
    ],
)
async def test_any_other_is_not(addresses: list[str]) -> None:
    dialer = RecordingDialer()
    outbound = open_events(addresses, dialer=dialer)
    error = await post(outbound)
    assert error.reason == "the host has an address that requests may not go to"
    assert dialer.dialed == []
    await outbound.aclose()


async def test_a_name_that_changes_is_looked_at_each_time() -> None:
    dialer = RecordingDialer()
    outbound = open_events(["10.1.2.3"], ["172.16.0.1"], dialer=dialer)
    await post(outbound)
    error = await post(outbound)
    assert error.outcome == "refused"
    assert dialer.dialed == [("10.1.2.3", 443)]
    await outbound.aclose()


@pytest.mark.parametrize("url", ["http://hooks.example/", "http://10.1.2.3/"])
async def test_http_leads_into_none_of_them(url: str) -> None:
    for loopback in (False, True):
        dialer = RecordingDialer()
        outbound = open_events(["10.1.2.3"], dialer=dialer, loopback=loopback)
        assert (await post(outbound, url)).outcome == "refused"
        assert dialer.dialed == []
        await outbound.aclose()


async def test_nothing_else_may_go_there() -> None:
    dialer = RecordingDialer()
    outbound = open_events(["10.1.2.3"], dialer=dialer)
    for url in ("https://hooks.example/", "https://10.1.2.3/"):
        for lane in ("essential", "content"):
            with pytest.raises(OutboundError, match="may not go to"):
                await outbound.get(url, lane=lane)
        with pytest.raises(OutboundError, match="may not go to"):
            await outbound.post_form(url, {})
    assert dialer.dialed == []
    await outbound.aclose()
