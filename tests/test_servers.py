"""The servers that the tests run on are real, apart from one another, and end with us."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from tests.server_process import Account, ServerError, is_open_to_others
from tests.server_programs import postgres_programs
from tests.servers import PostgresServer, RedisServer, start_postgres, start_redis
from tests.watchdog import family_of

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with pytest.MonkeyPatch.context() as environment, start_own_postgres(environment) as server:
        yield server


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with pytest.MonkeyPatch.context() as environment, start_own_redis(environment) as server:
        yield server


def start_own_postgres(environment: pytest.MonkeyPatch) -> PostgresServer:
    environment.delenv("AUTHSVC_TEST_DATABASE_URL", raising=False)
    return start_postgres()


def start_own_redis(environment: pytest.MonkeyPatch) -> RedisServer:
    environment.delenv("AUTHSVC_TEST_REDIS_URL", raising=False)
    return start_redis()


def query(url: str, *statements: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def test_postgres_makes_commits_durable_and_takes_two_hundred_connections(
    postgres: PostgresServer,
) -> None:
    settings = {
        name: query(postgres.url, f"SHOW {name}")
        for name in ("fsync", "synchronous_commit", "max_connections", "server_encoding")
    }
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "200",
        "server_encoding": "UTF8",
    }


def test_postgres_does_not_run_as_root(postgres: PostgresServer) -> None:
    data = postgres.process.folder / "data"
    assert data.stat().st_uid != 0


def test_postgres_asks_for_its_password(postgres: PostgresServer) -> None:
    wrong = postgres.url.replace("authsvc:", "authsvc:not-")
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(wrong, "SELECT 1")


def test_a_database_is_a_copy_of_its_template_and_apart_from_it(postgres: PostgresServer) -> None:
    template = postgres.create_database()
    query(template, "CREATE TABLE thing (id int)", "INSERT INTO thing VALUES (1) RETURNING id")
    copy = postgres.create_database(template)
    assert query(copy, "SELECT count(*) FROM thing") == 1
    query(copy, "DELETE FROM thing RETURNING id")
    assert query(template, "SELECT count(*) FROM thing") == 1


def test_a_database_is_dropped_under_an_open_connection(postgres: PostgresServer) -> None:
    url = postgres.create_database()

    async def drop_while_connected() -> None:
        connection = await asyncpg.connect(url)
        await asyncio.to_thread(postgres.drop_database, url)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.execute("SELECT 1")
        await connection.close()

    asyncio.run(drop_while_connected())
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        query(url, "SELECT 1")


def test_a_database_can_be_made_inside_a_running_loop(postgres: PostgresServer) -> None:
    async def create() -> str:
        return postgres.create_database()

    assert query(asyncio.run(create()), "SELECT 1") == 1


def test_postgres_keeps_its_rows_and_its_address_over_a_stop(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    query(url, "CREATE TABLE thing (id int)", "INSERT INTO thing VALUES (7) RETURNING id")
    postgres.stop()
    with pytest.raises(OSError, match="Connect call failed"):
        query(url, "SELECT 1")
    postgres.start()
    assert query(url, "SELECT id FROM thing") == 7


def test_a_paused_postgres_does_not_answer_and_then_goes_on(postgres: PostgresServer) -> None:
    async def ask_while_paused() -> object:
        connection = await asyncpg.connect(postgres.url)
        postgres.pause()
        question = asyncio.create_task(connection.fetchval("SELECT 1"))
        finished, _ = await asyncio.wait([question], timeout=0.2)
        assert not finished
        postgres.resume()
        answer = await question
        await connection.close()
        return answer

    assert asyncio.run(ask_while_paused()) == 1


def test_programs_that_nobody_can_read_are_copied_to_where_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.server_programs.is_open_to_others", lambda _: False)
    account = Account.unprivileged() or Account(os.getuid(), os.getgid())
    assert postgres_programs(tmp_path, account).is_relative_to(tmp_path)
    with start_own_postgres(monkeypatch) as server:
        assert query(server.url, "SELECT 1") == 1


def test_a_folder_is_open_to_others_only_if_every_parent_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    inside = tmp_path / "inside"
    inside.mkdir(mode=0o755)
    assert not is_open_to_others(inside)
    assert is_open_to_others(Path("/"))


def test_redis_databases_are_apart_and_flushed_together(redis_server: RedisServer) -> None:
    urls = [redis_server.create_database() for _ in range(2)]
    assert urls[0] != urls[1]
    with redis.Redis.from_url(urls[0]) as first, redis.Redis.from_url(urls[1]) as second:
        first.set("name", "value")
        assert second.get("name") is None
        redis_server.flush()
        assert first.get("name") is None


def test_redis_asks_for_its_password(redis_server: RedisServer) -> None:
    address = redis_server.url.split("@")[1]
    with (
        redis.Redis.from_url(f"redis://{address}") as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_redis_is_empty_after_a_stop_and_keeps_its_address(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("name", "value")
        redis_server.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        redis_server.start()
        assert client.get("name") is None


def test_a_paused_redis_does_not_answer_and_then_goes_on(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url, socket_timeout=0.2) as client:
        client.set("name", "value")
        redis_server.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("name")
        redis_server.resume()
        assert client.get("name") == b"value"


@pytest.mark.parametrize("starter", ["start_postgres", "start_redis"])
def test_a_server_ends_with_the_process_that_started_it_even_if_that_is_killed(
    starter: str,
) -> None:
    program = (
        f"from tests.servers import {starter} as start\n"
        "server = start()\n"
        "server.pause()\n"
        "print(server.process.folder, flush=True)\n"
        "input()\n"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")
    }
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        folder = owner.stdout.readline().strip()
        _, *family = family_of(psutil.Process(owner.pid))
        owner.kill()
    assert len(family) >= 2, "the watchdog and the server at least"
    assert psutil.wait_procs(family, timeout=20)[1] == []
    assert not Path(folder).exists()


def test_a_server_that_does_not_start_raises_with_the_tail_of_its_log(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(redis_server.url.rsplit(":", 1)[1].split("/")[0])
    monkeypatch.setattr("tests.servers.free_port", lambda: taken)
    with pytest.raises(ServerError, match="in use"):
        start_own_redis(monkeypatch)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("AUTHSVC_TEST_DATABASE_URL", "postgresql://authsvc:hidden@127.0.0.1:1/postgres"),
        ("AUTHSVC_TEST_REDIS_URL", "redis://:hidden@127.0.0.1:1/0"),
    ],
)
def test_a_named_server_that_is_away_is_an_error_and_not_replaced(
    variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, url)
    start = start_postgres if "DATABASE" in variable else start_redis
    with pytest.raises(ServerError, match=variable) as caught:
        start()
    assert "hidden" not in str(caught.value)


def test_a_named_server_is_used_and_left_running(
    postgres: PostgresServer, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHSVC_TEST_DATABASE_URL", postgres.url)
    monkeypatch.setenv("AUTHSVC_TEST_REDIS_URL", redis_server.url)
    with start_postgres() as named_postgres, start_redis() as named_redis:
        url = named_postgres.create_database()
        assert query(url, "SELECT 1") == 1
        named_redis.flush()
        with pytest.raises(ServerError, match="not ours"):
            named_postgres.stop()
    postgres.ping()
    redis_server.ping()
