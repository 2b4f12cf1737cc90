"""What is used again, and until when (RFC 9111)."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from authsvc.outbound import Lane
from authsvc.outbound.freshness import MAX_LIFETIME
from tests.outbound.open_client import StandingClock, failure_of, open_outbound
from tests.web_servers import open_web_server

_FRESH = {"Cache-Control": "max-age=60"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Cache-Control": "max-age=60"}, 60),
        ({"Cache-Control": 'private="x, max-age=1", MAX-AGE="60"'}, 60),
        ({"Cache-Control": "s-maxage=5, max-age=60"}, 60),
        ({"Cache-Control": "max-age=60", "Age": "20"}, 40),
        ({"Cache-Control": "max-age=60", "Age": "nonsense"}, 60),
        ({"Cache-Control": "max-age=60", "Date": "Sun, 01 Mar 2026 11:59:30 GMT"}, 30),
        ({"Cache-Control": "max-age=60", "Expires": "Sun, 01 Mar 2026 11:00:00 GMT"}, 60),
        ({"Cache-Control": "max-age=90, max-age=60"}, 60),
        ({"Cache-Control": "max-age=60", "Vary": "Accept, Accept-Encoding"}, 60),
        ({"Expires": "Sun, 01 Mar 2026 12:01:00 GMT"}, 60),
        (
            {
                "Expires": "Sun, 01 Mar 2026 13:01:00 GMT",
                "Date": "Sun, 01 Mar 2026 13:00:00 GMT",
            },
            60,
        ),
        ({"Cache-Control": "max-age=99999999999999999999"}, MAX_LIFETIME.total_seconds()),
        ({"Expires": "Fri, 01 Mar 9999 13:01:00 GMT"}, MAX_LIFETIME.total_seconds()),
    ],
)
async def test_an_answer_is_used_again_until_it_is_stale(
    headers: Mapping[str, str], seconds: float
) -> None:
    clock = StandingClock()
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, clock=clock) as outbound,
    ):
        server.respond("/", headers=headers, body=b"old")
        assert await outbound.get(server.url) == b"old"
        server.respond("/", body=b"new")
        clock.move(seconds - 1)
        assert await outbound.get(server.url) == b"old"
        clock.move(1)
        assert await outbound.get(server.url) == b"new"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cache-Control": "no-store, max-age=60"},
        {"Cache-Control": "no-cache, max-age=60"},
        {"Cache-Control": 'no-cache="set-cookie", max-age=60'},
        {"Cache-Control": "max-age=0"},
        {"Cache-Control": "max-age=-60"},
        {"Cache-Control": "max-age=6e9"},
        {"Cache-Control": "max-age=60", "Age": "60"},
        {"Cache-Control": "max-age=60", "Date": "Sun, 01 Mar 2026 11:59:00 GMT"},
        {"Cache-Control": "max-age=60", "Vary": "*"},
        {"Cache-Control": "max-age=60, " + "x" * 2_048},
        {"Expires": "0"},
        {"Expires": "Sun, 01 Mar 2026 12:00:00 GMT"},
        {"Last-Modified": "Sun, 01 Mar 2015 12:00:00 GMT"},
    ],
)
async def test_an_answer_that_is_stale_at_once_is_not_used_again(
    headers: Mapping[str, str],
) -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers=headers, body=b"old")
        await outbound.get(server.url)
        server.respond("/", body=b"new")
        assert await outbound.get(server.url) == b"new"


async def test_a_stale_answer_is_revalidated_and_lives_on_as_the_304_says() -> None:
    clock = StandingClock()
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, clock=clock) as outbound,
    ):
        modified = "Sun, 01 Feb 2026 12:00:00 GMT"
        headers = {"ETag": '"1"', "Last-Modified": modified, "Age": "5", **_FRESH}
        server.respond("/", headers=headers, body=b"old")
        await outbound.get(server.url)
        clock.move(61)
        server.respond("/", 304, {"Cache-Control": "max-age=120", "ETag": 'W/"1"'})
        assert await outbound.get(server.url) == b"old"
        sent = server.requests[-1].headers
        assert (sent["if-none-match"], sent["if-modified-since"]) == ('"1"', modified)
        clock.move(119)
        assert await outbound.get(server.url) == b"old"
        assert len(server.requests) == 2
        clock.move(1)
        server.respond("/", headers=_FRESH, body=b"new")
        assert await outbound.get(server.url) == b"new"


async def test_an_answer_with_a_validator_alone_is_revalidated_each_time() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers={"ETag": '"1"'}, body=b"same")
        await outbound.get(server.url)
        server.respond("/", 304)
        assert [await outbound.get(server.url) for _ in range(3)] == [b"same"] * 3
        assert [request.headers.get("if-none-match") for request in server.requests] == [
            None,
            *['"1"'] * 3,
        ]


@pytest.mark.parametrize(
    ("headers", "requests"),
    [
        ({}, 1),
        ({"Cache-Control": "private"}, 1),
        ({"Cache-Control": "no-cache"}, 2),
        ({"Cache-Control": "no-store"}, 2),
        ({"Cache-Control": "max-age=0"}, 2),
        ({"Expires": "0"}, 2),
    ],
)
async def test_a_heuristic_life_is_for_an_answer_that_says_nothing_of_it(
    headers: Mapping[str, str], requests: int
) -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers=dict(headers), body=b"x")
        for _ in range(2):
            await outbound.get(server.url, heuristic=timedelta(minutes=1))
        assert len(server.requests) == requests


async def test_a_heuristic_life_ends() -> None:
    clock = StandingClock()
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, clock=clock) as outbound,
    ):
        server.respond("/", body=b"x")
        for seconds in (0, 59, 1):
            clock.move(seconds=seconds)
            await outbound.get(server.url, heuristic=timedelta(minutes=1))
        assert len(server.requests) == 2


async def test_a_304_that_forbids_storing_is_the_last_use() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers={"ETag": '"1"'}, body=b"same")
        await outbound.get(server.url)
        server.respond("/", 304, {"Cache-Control": "no-store"})
        assert await outbound.get(server.url) == b"same"
        await failure_of(outbound, server.url)
        assert "if-none-match" not in server.requests[-1].headers


async def test_a_304_about_another_answer_is_none() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers={"ETag": '"1"'}, body=b"old")
        await outbound.get(server.url)
        server.respond("/", 304, {"ETag": '"2"'})
        assert (await failure_of(outbound, server.url)).reason == "the host answered 304"


async def test_a_stale_answer_does_not_stand_in_for_a_host_that_fails() -> None:
    clock = StandingClock()
    async with (
        open_web_server() as server,
        open_outbound(ca_file=server.ca_file, clock=clock) as outbound,
    ):
        server.respond("/", headers=_FRESH, body=b"old")
        await outbound.get(server.url)
        clock.move(61)
        server.respond("/", 503)
        await failure_of(outbound, server.url)


async def test_another_accept_and_another_fragment_have_answers_of_their_own() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers=_FRESH, body=b"x")
        for _ in range(3):
            await outbound.get(f"{server.url}/")
            await outbound.get(f"{server.url}/", accept="application/jwt")
            await outbound.get(f"{server.url}/#hash", accept="application/jwt")
        assert len(server.requests) == 3


async def test_a_stored_answer_is_bounded_for_each_caller() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers=_FRESH, body=b"x" * 100)
        await outbound.get(server.url)
        error = await failure_of(outbound, server.url, max_bytes=99, lane="content")
        assert (error.outcome, len(server.requests)) == ("refused", 1)


async def test_a_redirect_is_asked_for_again_and_its_end_is_not() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/a", 302, {"Location": "/b", **_FRESH})
        server.respond("/b", headers=_FRESH, body=b"end")
        for _ in range(2):
            assert await outbound.get(f"{server.url}/a") == b"end"
        assert [request.path for request in server.requests] == ["/a", "/b", "/a"]


async def test_an_error_is_not_stored() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", 404, _FRESH)
        await failure_of(outbound, server.url)
        server.respond("/", body=b"here")
        assert await outbound.get(server.url, lane="essential") == b"here"


@pytest.mark.parametrize(("status", "requests"), [(200, 4), (302, 4), (404, 2), (500, 2)])
async def test_a_post_that_was_taken_makes_the_stored_answers_void(
    status: int, requests: int
) -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        lanes: list[Lane] = ["essential", "content"]
        server.respond("/", headers=_FRESH, body=b"x")
        for lane in lanes:
            await outbound.get(server.url, lane=lane)
        server.respond("/", status)
        await outbound.post_form(server.url, {})
        server.respond("/", headers=_FRESH, body=b"x")
        for lane in lanes:
            await outbound.get(server.url, lane=lane)
        assert [request.method for request in server.requests].count("GET") == requests
