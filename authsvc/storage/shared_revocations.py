"""Reading the revocation list that the authorization server shares over Redis.

For resource servers (``authsvc.guard``), which may read this Redis but not the database.
The writing side and the truth are in ``revocations``.
"""

from collections.abc import Sequence

from authsvc.storage.redis import REDIS_ERRORS, RedisClient, close_redis, open_redis
from authsvc.storage.revocations import COMPLETE, KEY_PREFIX, Kind


class SharedRevocations:
    """The shared list, behind one Redis server or Sentinel."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet; raises ValueError for a cluster.

        A cluster's node can lose its part of the list while another still says that the
        list is whole.
        """
        if "+cluster://" in url:
            raise ValueError("the shared revocation list is not read from a Redis Cluster")
        self._redis: RedisClient = open_redis(url)

    async def is_revoked(
        self, identities: Sequence[tuple[Kind, str]], issued_at_ms: int
    ) -> bool | None:
        """Tell whether one of ``identities`` is listed; None when the list can not tell.

        ``issued_at_ms`` is when the token was made, in milliseconds since the epoch. The
        list can not tell while Redis is away, or after it was flushed.
        """
        try:
            # One transaction: a flush between the two answers would make the first a lie.
            pipeline = self._redis.pipeline(transaction=True)
            _ = pipeline.exists(COMPLETE)
            _ = pipeline.mget([f"{KEY_PREFIX}{kind}:{value}" for kind, value in identities])
            complete, listed = await pipeline.execute()
            instants = [int(value) for value in listed if value is not None]
        except (*REDIS_ERRORS, ValueError):
            return None
        if any(issued_at_ms <= instant for instant in instants):
            return True
        return False if complete else None

    async def aclose(self) -> None:
        """Close the connections."""
        await close_redis(self._redis)
