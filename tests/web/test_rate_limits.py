"""The limits on the routes, over HTTP, and with a real Redis behind them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from authsvc.clock import Clock
from authsvc.protocol.errors import InvalidGrant, OAuthError, TooManyRequests
from authsvc.storage.rate_counters import RateCounters
from authsvc.web.rate_limits import RateLimits, rate_limit_headers
from tests.servers import RedisServer, start_redis

pytestmark = pytest.mark.anyio

PATIENCE = 10
LIMITS = {"page": "3/minute", "other": "5/minute", "client": "2/minute"}


class StandingClock(Clock):
    """Stands ten seconds into a minute until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2031, 5, 4, 12, 30, 10, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


async def page(request: Request) -> Response:
    return PlainTextResponse("ok")


async def failing(request: Request) -> Response:
    raise InvalidGrant("No such code")


async def answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)
    headers = rate_limit_headers(request)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return JSONResponse({"error": error.error}, error.status_code, headers)


def make_app(limits: RateLimits) -> Starlette:
    async def for_client(request: Request) -> Response:
        client_id = request.headers.get("x-authenticated-client")
        if client_id is None:
            raise InvalidGrant("Not authenticated")
        limits.hit_client(request, client_id, "client")
        return PlainTextResponse("ok")

    limit = limits.limit("page")
    routes = [
        Route("/page", limit(page)),
        Route("/page/{number}", limit(page)),
        Route("/other", limits.limit("other")(page)),
        Route("/failing", limit(failing)),
        Route("/client", limits.limit("other")(for_client)),
        Route("/free", page),
    ]
    return Starlette(routes=routes, exception_handlers={OAuthError: answer_error})


def visitor(app: Starlette, host: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(host, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://authsvc.test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def counters(clock: StandingClock) -> RateCounters:
    return RateCounters(clock)


@pytest.fixture
def app(counters: RateCounters) -> Starlette:
    return make_app(RateLimits(counters, LIMITS))


@pytest.fixture
async def http(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor(app) as client:
        yield client


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with start_redis() as server:
        yield server


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.create_database()) as client:
        yield client


def standing(response: httpx.Response) -> tuple[str, ...]:
    """Return limit, remaining and reset; an absent or repeated header does not pass."""
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    assert all(len(response.headers.get_list(name)) == 1 for name in names)
    return tuple(response.headers[name] for name in names)


async def test_a_response_says_where_the_caller_stands_and_does_not_ask_for_a_retry(
    http: httpx.AsyncClient,
) -> None:
    first, second = await http.get("/page"), await http.get("/page")
    assert standing(first) == ("3", "2", "50")
    assert standing(second) == ("3", "1", "50")
    assert "retry-after" not in first.headers
    assert not any(name.startswith("x-ratelimit") for name in first.headers)


async def test_beyond_the_limit_the_answer_is_429_and_says_when_to_come_back(
    http: httpx.AsyncClient, clock: StandingClock
) -> None:
    assert [(await http.get("/page")).status_code for _ in range(3)] == [200] * 3
    clock.at += timedelta(seconds=20.5)
    refusal = await http.get("/page")
    assert refusal.status_code == 429
    assert refusal.json() == {"error": "temporarily_unavailable"}
    assert refusal.headers["retry-after"] == "30"
    assert standing(refusal) == ("3", "0", "30")
    clock.at += timedelta(seconds=29.5)
    assert standing(await http.get("/page")) == ("3", "2", "60")


async def test_a_refused_request_does_not_reach_the_endpoint(
    counters: RateCounters,
) -> None:
    entered = []

    async def endpoint(request: Request) -> Response:
        entered.append(request)
        return PlainTextResponse("ok")

    limited = RateLimits(counters, LIMITS).limit("page")(endpoint)
    app = Starlette(
        routes=[Route("/", limited)], exception_handlers={TooManyRequests: answer_error}
    )
    async with visitor(app) as http:
        statuses = [(await http.get("/")).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert len(entered) == 3


async def test_an_error_of_the_endpoint_counts_and_carries_the_headers(
    http: httpx.AsyncClient,
) -> None:
    statuses = [(await http.get("/failing")).status_code for _ in range(2)]
    answer = await http.get("/failing")
    assert [*statuses, answer.status_code] == [400] * 3
    assert standing(answer) == ("3", "0", "50")
    assert (await http.get("/failing")).status_code == 429


async def test_every_path_and_endpoint_under_one_name_shares_its_budget(
    http: httpx.AsyncClient,
) -> None:
    for path in ("/page/1", "/page/2", "/page"):
        assert (await http.get(path)).status_code == 200
    assert (await http.get("/page/3")).status_code == 429
    assert standing(await http.get("/other")) == ("5", "4", "50")


async def test_a_route_without_a_limit_is_left_alone(http: httpx.AsyncClient) -> None:
    answers = [await http.get("/free") for _ in range(10)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit-limit" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("host", "neighbour", "shared"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:DB8::1:0:0:0:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("a-host-name", "another-host-name", False),
    ],
)
async def test_a_caller_is_an_ipv4_address_or_an_ipv6_network_of_64_bits(
    app: Starlette, host: str, neighbour: str, shared: bool
) -> None:
    async with visitor(app, host) as http:
        await http.get("/page")
    async with visitor(app, neighbour) as http:
        assert standing(await http.get("/page"))[1] == ("1" if shared else "2")


async def test_a_client_is_limited_wherever_it_calls_from(app: Starlette) -> None:
    answers = []
    for number in range(3):
        async with visitor(app, f"192.0.2.{number}") as http:
            answers.append(await http.get("/client", headers={"x-authenticated-client": "c1"}))
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    # The tightest limit of those that counted: the client's, not the address's.
    assert [standing(answer) for answer in answers] == [
        ("2", "1", "50"),
        ("2", "0", "50"),
        ("2", "0", "50"),
    ]
    assert answers[2].headers["retry-after"] == "50"


async def test_who_can_not_authenticate_uses_up_its_address_and_no_clients_budget(
    app: Starlette,
) -> None:
    async with visitor(app) as http:
        statuses = [(await http.get("/client")).status_code for _ in range(6)]
        assert statuses == [400] * 5 + [429]
    async with visitor(app, "192.0.2.2") as http:
        answer = await http.get("/client", headers={"x-authenticated-client": "c1"})
    assert standing(answer) == ("2", "1", "50")


async def test_the_address_is_named_when_it_is_tighter_than_the_client(
    counters: RateCounters,
) -> None:
    app = make_app(RateLimits(counters, LIMITS | {"client": "100/hour"}))
    async with visitor(app) as http:
        answer = await http.get("/client", headers={"x-authenticated-client": "c1"})
    assert standing(answer) == ("5", "4", "50")


async def test_of_two_limits_that_are_used_up_the_one_to_wait_longest_for_is_named(
    counters: RateCounters,
) -> None:
    app = make_app(RateLimits(counters, LIMITS | {"other": "3/minute", "client": "2/hour"}))
    async with visitor(app) as http:
        for _ in range(3):
            answer = await http.get("/client", headers={"x-authenticated-client": "c1"})
    assert answer.status_code == 429
    assert standing(answer) == ("2", "0", str(29 * 60 + 50))
    assert answer.headers["retry-after"] == str(29 * 60 + 50)


async def test_of_several_rates_the_tightest_is_named_and_each_is_enforced(
    counters: RateCounters, clock: StandingClock
) -> None:
    app = make_app(RateLimits(counters, LIMITS | {"page": "10/hour;4/minute"}))
    async with visitor(app) as http:
        assert standing(await http.get("/page")) == ("4", "3", "50")
        for _ in range(7):
            clock.at += timedelta(minutes=1)
            last = await http.get("/page")
        assert standing(last) == ("10", "2", str(22 * 60 + 50))
        for _ in range(2):
            assert (await http.get("/page")).status_code == 200
        refusal = await http.get("/page")
    assert refusal.status_code == 429
    assert refusal.headers["retry-after"] == str(22 * 60 + 50)


async def test_each_app_has_limits_of_its_own(clock: StandingClock) -> None:
    for _ in range(2):
        async with visitor(make_app(RateLimits(RateCounters(clock), LIMITS))) as http:
            assert standing(await http.get("/page")) == ("3", "2", "50")


async def test_switched_off_a_route_is_the_endpoint_itself_and_nothing_counts(
    counters: RateCounters,
) -> None:
    limits = RateLimits(counters, LIMITS, enabled=False)
    assert limits.limit("page")(page) is page
    async with visitor(make_app(limits)) as http:
        for _ in range(10):
            answer = await http.get("/client", headers={"x-authenticated-client": "c1"})
            assert answer.status_code == 200
            assert "ratelimit-limit" not in answer.headers
    assert len(counters) == 0


async def test_no_variable_or_file_of_slowapi_switches_a_limit_off(
    counters: RateCounters, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RATELIMIT_ENABLED", "false")
    (tmp_path / ".env").write_text("RATELIMIT_ENABLED=false\nRATELIMIT_KEY_PREFIX=x\n")
    monkeypatch.chdir(tmp_path)
    async with visitor(make_app(RateLimits(counters, LIMITS))) as http:
        statuses = [(await http.get("/page")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


async def test_slowapi_writes_no_second_line_for_a_refusal_and_adds_no_handler(
    counters: RateCounters, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = list(logging.getLogger("slowapi").handlers)
    async with visitor(make_app(RateLimits(counters, LIMITS))) as http:
        statuses = [(await http.get("/page")).status_code for _ in range(4)]
    assert statuses[-1] == 429
    assert not [record for record in caplog.records if record.name == "slowapi"]
    assert logging.getLogger("slowapi").handlers == handlers


async def test_the_route_keeps_the_name_of_its_endpoint(counters: RateCounters) -> None:
    limited = RateLimits(counters, LIMITS).limit("page")(page)
    assert Route("/", limited).name == "page"


@pytest.mark.parametrize("text", ["", "many", "600", "600/fortnight", "0/minute", "-1/minute"])
async def test_a_rate_that_is_none_is_refused_in_one_line_that_names_it(
    counters: RateCounters, text: str
) -> None:
    with pytest.raises(ValueError, match=r"^rate limit page is [^\n]*$") as refusal:
        RateLimits(counters, {"page": text})
    assert repr(text) in str(refusal.value)


async def test_a_limit_that_nobody_named_can_not_be_declared(
    counters: RateCounters,
) -> None:
    with pytest.raises(ValueError, match="no rate limit is called pag"):
        RateLimits(counters, LIMITS).limit("pag")


async def test_two_processes_share_a_limit_through_redis(
    clock: StandingClock, redis: Redis
) -> None:
    here, there = RateCounters(clock), RateCounters(clock)
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(visitor(make_app(RateLimits(process, LIMITS))))
            for process in (here, there)
        ]
        assert standing(await first.get("/page"))[1] == "2"
        await here.reconcile(redis)
        assert standing(await second.get("/page"))[1] == "2"
        await there.reconcile(redis)
        assert standing(await second.get("/page"))[1] == "0"
        await there.reconcile(redis)
        assert (await second.get("/page")).status_code == 429


async def test_a_redis_that_hangs_delays_no_request_and_sharing_recovers_by_itself(
    clock: StandingClock, redis: Redis, redis_server: RedisServer
) -> None:
    counters, hang = RateCounters(clock), 0.5
    app = make_app(RateLimits(counters, dict.fromkeys(LIMITS, "100000/minute")))
    sharing = asyncio.create_task(counters.run(redis, interval=0.05, request_timeout=hang))
    try:
        async with visitor(app) as http:
            await until(lambda: counters.last_exchange_ok)
            redis_server.pause()
            slowest, answered, began = 0.0, 0, time.monotonic()
            while counters.last_exchange_ok or time.monotonic() - began < 3 * hang:
                sent = time.monotonic()
                assert (await http.get("/page")).status_code == 200
                # No socket lies between: without this the loop would run nothing else.
                await asyncio.sleep(0)
                slowest, answered = max(slowest, time.monotonic() - sent), answered + 1
            redis_server.resume()
            # One exchange that was waited for would have taken half a second.
            assert slowest < hang / 2
            assert answered > 100
            await until(lambda: counters.last_exchange_ok)
            assert counters.total("LIMITER/192.0.2.1/page/100000/1/minute") == answered
    finally:
        redis_server.resume()
        sharing.cancel()
        with suppress(asyncio.CancelledError):
            await sharing


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - an attribute changes without an event
            await asyncio.sleep(0.01)
