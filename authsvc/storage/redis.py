"""Redis: one client per process, for a single server, Sentinel or Cluster.

Each command is bounded in time, and Redis away is an expected state: callers catch
``REDIS_ERRORS`` and go on from the database. A command is sent again only where the
connection was closed: one that was not answered in time may have been carried out.
"""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import Pipeline as ServerPipeline
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

REDIS_ERRORS = (RedisError, OSError, TimeoutError)
TIMEOUT = 0.5
"""Seconds a connection or a command may take."""

RedisClient = Redis | RedisCluster
Pipeline = ServerPipeline | ClusterPipeline


def database_number(redis: RedisClient) -> int:
    """Return the number of the database that the client uses."""
    if isinstance(redis, RedisCluster):
        return 0
    return int(redis.connection_pool.connection_kwargs.get("db") or 0)


async def why_it_may_evict(redis: RedisClient) -> str | None:
    """Return why a key may vanish before it expires, None when none does.

    Only the policy ``noeviction`` keeps what was written, whatever the memory; a server that
    tells none, or is told not to, may have any. Raises one of REDIS_ERRORS.
    """
    try:
        found = await redis.info("memory")
    except ResponseError:
        return "it does not tell its maxmemory-policy (INFO)"
    servers = found.values() if isinstance(redis, RedisCluster) else [found]
    policies = {server.get("maxmemory_policy", "unknown") for server in servers}
    wrong = sorted(policies - {"noeviction"})
    return f"maxmemory-policy is {', '.join(wrong)}" if wrong else None


def open_redis(url: str) -> RedisClient:
    """Return a client for ``url``; nothing is connected yet.

    Forms: ``redis://`` and ``rediss://`` (TLS) for one server,
    ``redis+sentinel://[:PASSWORD@]HOST[:PORT],HOST…/SERVICE[/DB]`` for Sentinel, and
    ``redis+cluster://`` or ``rediss+cluster://`` for Cluster.
    """
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "health_check_interval": 15,
        "retry": Retry(NoBackoff(), 1, (RedisConnectionError,)),
    }
    scheme = urlsplit(url).scheme
    if scheme == "redis+sentinel":
        return _open_sentinel(url, options)
    if scheme.endswith("+cluster"):
        return _open_cluster(url, options)
    return Redis.from_url(url, **options)


async def close_redis(redis: RedisClient) -> None:
    """Close the connections, those to the Sentinels, too: the driver leaves them open."""
    await redis.aclose()
    pool = getattr(redis, "connection_pool", None)
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _hosts(url: str, port: int) -> list[tuple[str, int]]:
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    pairs = (host.rpartition(":") if ":" in host else (host, "", port) for host in hosts)
    return [(str(name), int(number)) for name, _, number in pairs]


def _credentials(url: str) -> dict[str, Any]:
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    given = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in given.items() if value}


def _open_sentinel(url: str, options: dict[str, Any]) -> RedisClient:
    service, _, number = urlsplit(url).path.strip("/").partition("/")
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis leaves it untyped
        _hosts(url, 26379),
        sentinel_kwargs=options,
        db=int(number or 0),
        **_credentials(url),
        **options,
    )
    client: Redis = sentinel.master_for(service or "mymaster")
    return client


def _open_cluster(url: str, options: dict[str, Any]) -> RedisClient:
    nodes = [ClusterNode(host, port) for host, port in _hosts(url, 6379)]
    tls = urlsplit(url).scheme.startswith("rediss")
    ca_file = parse_qs(urlsplit(url).query).get("ssl_ca_certs", [None])[0]
    if tls and ca_file:
        options["ssl_ca_certs"] = ca_file
    return RedisCluster(startup_nodes=nodes, ssl=tls, **_credentials(url), **options)
