"""Signing keys move on by their age: next, active, retired, removed."""

from authsvc.logs import get_logger
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage.audit import Origin

log = get_logger(__name__)
_ORIGIN = Origin("schedule")


async def rotate_keys(server: AuthorizationServer) -> None:
    """Replace the active keys that are old enough, and remove those retired for long.

    Safe in any number of processes at once: the keys are changed under one lock.
    """
    resources = server.resources
    interval = resources.settings.key_rotation_interval
    async with resources.database.transaction() as tx:
        if interval:
            rotations = await resources.key_rotation.rotate(tx, _ORIGIN, older_than=interval)
            for rotation in rotations:
                if rotation.active:
                    log.info("key_rotated", alg=rotation.alg, kid=rotation.active)
        await resources.key_rotation.remove_expired(tx, _ORIGIN)
