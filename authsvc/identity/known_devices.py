"""Known browsers: a cookie that says that this browser has signed in to the account.

It is bound to the account and to its password of today: a new password makes every
browser unknown.
"""

import hmac

from authsvc.master_key import RootSecret
from authsvc.storage.users import User
from authsvc.tokens.opaque import new_opaque_value

_MAX_COOKIE = 200


class KnownDevices:
    """Makes and reads device cookies."""

    def __init__(self, root: RootSecret) -> None:
        self._key = root.derive("device cookie")

    def cookie(self, user: User, known: str | None, password_hash: str | None) -> str:
        """Return the cookie by which this browser is known at the account.

        A known browser keeps its name, so that it can not gather several.
        """
        device_id = known or new_opaque_value()
        return f"{device_id}.{self._sign(device_id, user.id, password_hash)}"

    def find(self, user: User | None, cookie: str | None) -> str | None:
        """Return the name of a browser that has signed in with the password of today."""
        if user is None or not cookie or len(cookie) > _MAX_COOKIE:
            return None
        device_id, _, signature = cookie.partition(".")
        expected = self._sign(device_id, user.id, user.password_hash)
        if hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            return device_id
        return None

    def _sign(self, device_id: str, user_id: str, password_hash: str | None) -> str:
        content = f"{device_id}\n{user_id}\n{password_hash}".encode("utf-8", "replace")
        return hmac.digest(self._key, content, "sha256").hex()
