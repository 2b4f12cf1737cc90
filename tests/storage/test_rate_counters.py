"""The counters behind the rate limits, alone and shared through a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from authsvc.clock import Clock
from authsvc.storage.rate_counters import RateCounters
from tests.servers import RedisServer, start_redis

pytestmark = pytest.mark.anyio

MINUTE = 60
DAY = 86_400
PATIENCE = 10


class StandingClock(Clock):
    """Stands ten seconds into a minute until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2031, 5, 4, 12, 30, 10, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with start_redis() as server:
        yield server


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.create_database()) as client:
        yield client


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


def count(counters: RateCounters, key: str, times: int) -> None:
    for _ in range(times):
        counters.count(key, MINUTE)


async def test_a_window_counts_up_and_the_next_one_starts_anew(
    clock: StandingClock,
) -> None:
    counters = RateCounters(clock)
    assert [counters.count("k", MINUTE) for _ in range(3)] == [1, 2, 3]
    clock.move(49.9)
    assert counters.count("k", MINUTE) == 4
    assert counters.seconds_left(MINUTE) == 1
    clock.move(0.1)
    assert counters.total("k") == 0
    assert counters.count("k", MINUTE) == 1


async def test_windows_begin_with_the_clock_and_not_with_the_first_hit(
    clock: StandingClock,
) -> None:
    first, second = RateCounters(clock), RateCounters(clock)
    first.count("k", MINUTE)
    clock.move(20)
    second.count("k", MINUTE)
    assert first.ends_at("k") == second.ends_at("k") == clock.at.timestamp() + 30


async def test_a_clock_that_steps_back_does_not_keep_a_window_of_the_future(
    clock: StandingClock,
) -> None:
    counters = RateCounters(clock)
    count(counters, "k", 5)
    clock.move(-3600)
    assert counters.count("k", MINUTE) == 1
    assert counters.ends_at("k") == clock.at.timestamp() + 50


async def test_memory_is_bounded_and_what_is_lost_before_its_time_is_counted(
    clock: StandingClock,
) -> None:
    counters = RateCounters(clock, max_keys=100)
    for number in range(1000):
        counters.count(f"k{number}", MINUTE)
    assert len(counters) == 100
    assert counters.evicted == 900
    assert counters.total("k899") == 0
    assert counters.total("k900") == 1


async def test_windows_that_have_ended_make_room_and_do_not_count_as_lost(
    clock: StandingClock,
) -> None:
    counters = RateCounters(clock, max_keys=100)
    for number in range(100):
        counters.count(f"old{number}", MINUTE)
    clock.move(MINUTE)
    for number in range(50):
        counters.count(f"new{number}", MINUTE)
    assert len(counters) == 50
    assert counters.evicted == 0


async def test_a_flood_of_short_windows_does_not_push_out_a_long_one(
    clock: StandingClock,
) -> None:
    counters = RateCounters(clock, max_keys=100)
    counters.count("long", DAY)
    for number in range(1000):
        counters.count(f"k{number}", MINUTE)
    assert counters.total("long") == 1


async def test_a_flood_of_long_windows_leaves_room_for_short_ones(clock: StandingClock) -> None:
    counters = RateCounters(clock, max_keys=100)
    for number in range(1000):
        counters.count(f"long{number}", DAY)
    for number in range(20):
        counters.count(f"k{number}", MINUTE)
    assert [counters.total(f"k{number}") for number in range(20)] == [1] * 20
    assert len(counters) == 100


async def test_what_left_memory_does_not_wait_to_be_published_either(
    clock: StandingClock, redis: Redis
) -> None:
    counters = RateCounters(clock, max_keys=100)
    for number in range(1000):
        counters.count(f"k{number}", MINUTE)
    await counters.reconcile(redis)
    assert await redis.dbsize() == 100


async def test_forgetting_and_clearing_leave_nothing_behind(
    clock: StandingClock, redis: Redis
) -> None:
    counters = RateCounters(clock)
    count(counters, "a", 2)
    count(counters, "b", 2)
    counters.forget("a")
    assert (counters.total("a"), counters.total("b")) == (0, 2)
    counters.clear()
    await counters.reconcile(redis)
    assert len(counters) == 0
    assert await redis.dbsize() == 0


async def test_two_processes_learn_each_others_counts(clock: StandingClock, redis: Redis) -> None:
    here, there = RateCounters(clock), RateCounters(clock)
    count(here, "k", 7)
    await here.reconcile(redis)
    count(there, "k", 2)
    assert there.total("k") == 2
    await there.reconcile(redis)
    assert there.total("k") == 9
    assert there.last_exchange_ok
    count(here, "k", 1)
    await here.reconcile(redis)
    assert here.total("k") == 10


async def test_what_is_counted_during_an_exchange_is_published_by_the_next(
    clock: StandingClock, redis: Redis
) -> None:
    here, there = RateCounters(clock), RateCounters(clock)
    count(here, "k", 3)
    exchange = asyncio.create_task(here.reconcile(redis))
    while not exchange.done():
        here.count("k", MINUTE)
        await asyncio.sleep(0)
    counted = here.total("k")
    assert counted > 3
    await here.reconcile(redis)
    assert here.total("k") == counted
    there.count("k", MINUTE)
    await there.reconcile(redis)
    assert there.total("k") == counted + 1


@pytest.mark.parametrize("replicas", [2, 3, 8])
async def test_the_overshoot_is_at_most_what_the_others_count_in_two_intervals(
    clock: StandingClock, redis: Redis, replicas: int
) -> None:
    limit, hits_an_interval = 1000, 23
    processes = [RateCounters(clock) for _ in range(replicas)]
    admitted, refused_everywhere = 0, False
    while not refused_everywhere:
        refused_everywhere = True
        # Staggered: each exchanges once an interval, while the others go on counting.
        for exchanging in processes:
            for process in processes:
                share = hits_an_interval // replicas
                within = sum(process.count("k", MINUTE) <= limit for _ in range(share))
                admitted += within
                refused_everywhere = refused_everywhere and not within
            await exchanging.reconcile(redis)
    hits_of_one_process = hits_an_interval // replicas * replicas
    assert limit <= admitted <= limit + (replicas - 1) * 2 * hits_of_one_process


async def test_a_key_pushed_out_of_memory_takes_its_count_back_from_redis(
    clock: StandingClock, redis: Redis
) -> None:
    counters = RateCounters(clock, max_keys=2)
    count(counters, "k", 9)
    await counters.reconcile(redis)
    count(counters, "x", 1)
    count(counters, "y", 1)
    assert counters.count("k", MINUTE) == 1
    await counters.reconcile(redis)
    assert counters.total("k") == 10


async def test_every_key_in_redis_expires_soon_after_its_window(
    clock: StandingClock, redis: Redis
) -> None:
    counters = RateCounters(clock)
    for _ in range(2):
        count(counters, "k", 1)
        await counters.reconcile(redis)
        (name,) = await redis.keys("*")
        assert 50 < await redis.ttl(name) <= 60
        # Also a key that was made anew after Redis lost it.
        await redis.flushdb()


async def test_a_flushed_redis_does_not_make_a_process_forget_its_own_count(
    clock: StandingClock, redis: Redis
) -> None:
    counters = RateCounters(clock)
    count(counters, "k", 8)
    await counters.reconcile(redis)
    await redis.flushdb()
    count(counters, "k", 1)
    await counters.reconcile(redis)
    assert counters.total("k") == 9


async def test_an_exchange_carries_a_bounded_number_of_keys_and_none_is_left_out(
    clock: StandingClock, redis: Redis
) -> None:
    counters = RateCounters(clock)
    for number in range(2500):
        counters.count(f"k{number}", MINUTE)
    sizes = []
    for _ in range(3):
        await counters.reconcile(redis)
        sizes.append(await redis.dbsize())
    assert sizes == [1000, 2000, 2500]


async def test_a_key_that_redis_refuses_does_not_keep_the_others_from_being_shared(
    clock: StandingClock, redis: Redis
) -> None:
    here, there = RateCounters(clock), RateCounters(clock)
    here.count("refused", MINUTE)
    await here.reconcile(redis)
    (name,) = await redis.keys("*")
    await redis.delete(name)
    await redis.rpush(name, "not a number")
    count(here, "refused", 2)
    count(here, "k", 4)
    await here.reconcile(redis)
    assert not here.last_exchange_ok
    assert here.total("refused") == 3
    there.count("k", MINUTE)
    await there.reconcile(redis)
    assert there.total("k") == 5


async def test_while_redis_hangs_counting_goes_on_and_nothing_is_counted_twice(
    clock: StandingClock, redis: Redis, redis_server: RedisServer
) -> None:
    here, there = RateCounters(clock), RateCounters(clock)
    count(here, "k", 5)
    await here.reconcile(redis)
    redis_server.pause()
    try:
        for _ in range(4):
            count(here, "k", 5)
            began = time.monotonic()
            await here.reconcile(redis, request_timeout=0.1)
            assert time.monotonic() - began < 2
            assert not here.last_exchange_ok
        assert here.total("k") == 25
    finally:
        redis_server.resume()
    async with asyncio.timeout(PATIENCE):
        while not here.last_exchange_ok:
            await here.reconcile(redis)
    (name,) = await redis.keys("*")
    assert await redis.get(name) == b"25"
    there.count("k", MINUTE)
    await there.reconcile(redis)
    assert there.total("k") == 26


async def test_while_redis_is_away_the_local_limit_holds_and_sharing_comes_back_with_it(
    clock: StandingClock, redis: Redis, redis_server: RedisServer
) -> None:
    here, there = RateCounters(clock), RateCounters(clock)
    sharing = asyncio.create_task(here.run(redis, interval=0.02, request_timeout=0.1))
    try:
        redis_server.stop()
        count(here, "k", 6)
        await here.reconcile(redis, request_timeout=0.1)
        assert not here.last_exchange_ok
        assert here.total("k") == 6
        redis_server.start()
        async with asyncio.timeout(PATIENCE):
            while there.total("k") < 7:
                here.count("k", MINUTE)
                there.count("k", MINUTE)
                await there.reconcile(redis)
                await asyncio.sleep(0.01)
    finally:
        sharing.cancel()
        with suppress(asyncio.CancelledError):
            await sharing
    assert here.total("k") >= 7


async def test_the_loop_shares_by_itself_and_ends_when_cancelled(
    clock: StandingClock, redis: Redis
) -> None:
    counters = RateCounters(clock)
    sharing = asyncio.create_task(counters.run(redis, interval=0.01))
    count(counters, "k", 3)
    async with asyncio.timeout(PATIENCE):
        while not await redis.keys("*"):  # noqa: ASYNC110 - Redis tells nobody of a new key
            await asyncio.sleep(0.01)
    sharing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sharing
    count(counters, "k", 3)
    (name,) = await redis.keys("*")
    assert await redis.get(name) == b"3"
