"""What can be told: every event of the audit log, and the patterns that mean some of them."""

from collections.abc import Mapping, Sequence
from typing import Final

EVENTS: Final[Mapping[str, str]] = {
    "access_token.revoked": "an access token was taken back",
    "client.authentication_failed": "a client showed a wrong secret or assertion",
    "client.created": "a client was registered",
    "client.deleted": "a client was deleted, or registered itself and was never used",
    "client.secret_rotated": "a client got a new secret",
    "client.tokens_revoked": "all tokens of a client were taken back",
    "client.updated": "the metadata of a client changed",
    "code.replayed": "a spent authorization code came again; its tokens are revoked",
    "consent.granted": "a person allowed a client something",
    "device_code.approved": "a person let a device in",
    "device_code.denied": "a person turned a device away",
    "device_code.replayed": "a spent device code came again; its tokens are revoked",
    "initial_access_token.created": "somebody may register clients",
    "initial_access_token.revoked": "somebody may register clients no more",
    "keys.created": "a signing key was made",
    "keys.imported": "a signing key of your own was published",
    "keys.removed": "a retired signing key went",
    "keys.resealed": "signing keys were put under another master key",
    "keys.retired": "a signing key was retired",
    "keys.revoked": "a signing key was revoked: what it signed is invalid",
    "keys.rotated": "the next signing key signs",
    "login.failed": "a wrong password, an unknown or a disabled person",
    "login.succeeded": "a person signed in",
    "outbox.retried": "an operator had what was given up tried again",
    "refresh_token.reused": "a spent refresh token came again; its family is revoked",
    "refresh_token.revoked": "a refresh token, and with it its family, was taken back",
    "role.allowed": "a role got a permission",
    "role.assigned": "a person or a client got a role",
    "role.created": "a role was made",
    "role.deleted": "a role was deleted",
    "role.denied": "a role lost a permission",
    "role.inherits": "a role inherits from another",
    "role.unassigned": "a person or a client lost a role",
    "schema.downgrading": "the database is about to go back to an older revision",
    "schema.upgraded": "the database was migrated",
    "session.ended": "a session ended: logout, an administrator, another sign-in",
    "session.revoked": "an operator ended a session and its tokens",
    "tokens.everything_revoked": "all that was ever issued was taken back, after a restore",
    "user.created": "a person was added",
    "user.deleted": "a person was deleted",
    "user.disabled": "a person may sign in no more",
    "user.enabled": "a person may sign in again",
    "user.password_reset": "a person who forgot the password set another by a link",
    "user.password_reset_asked": "a link for a forgotten password was mailed",
    "user.password_set": "a person got another password",
    "user.sessions_revoked": "all sessions of a person were ended",
    "user.updated": "what is known of a person changed",
    "user_code.wrong": "a person typed a device's code that does not exist",
    "webhook.created": "a webhook was registered",
    "webhook.deleted": "a webhook was deleted",
    "webhook.disabled": "a webhook is told nothing any more",
    "webhook.enabled": "a webhook is told of events again",
    "webhook.secret_rotated": "a webhook got a new secret",
    "webhook.updated": "the address or the events of a webhook changed",
}
"""Each event, and what has happened."""

EVERYTHING: Final = "*"
_REST: Final = ".*"


def is_pattern(pattern: str) -> bool:
    """Tell whether ``pattern`` means an event that there is: by name, as ``user.*``, or ``*``."""
    return any(matches(pattern, event) for event in EVENTS)


def matches(pattern: str, event: str) -> bool:
    """Tell whether ``pattern`` means ``event``."""
    if pattern.endswith(_REST):
        return event.startswith(pattern.removesuffix("*"))
    return pattern in (EVERYTHING, event)


def is_wanted(event: str, patterns: Sequence[str]) -> bool:
    """Tell whether one of ``patterns`` means ``event``."""
    return any(matches(pattern, event) for pattern in patterns)
