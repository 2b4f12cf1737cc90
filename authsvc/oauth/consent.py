"""Consent: what a person is asked to allow a client, and the note that they did."""

from collections.abc import Sequence
from typing import Final

from authsvc.oauth.clients import Client
from authsvc.oauth.resources import audience_of
from authsvc.oauth.server import AuthorizationServer
from authsvc.protocol.scope import format_scope
from authsvc.protocol.uris import split_uri
from authsvc.storage.audit import Origin
from authsvc.storage.consents import save_consent
from authsvc.storage.database import Transaction
from authsvc.storage.users import find_role_ids

CLAIM: Final = "claim\\"
"""What stands in a consent before the name of a claim that no scope of the request reaches.

A scope never has a backslash (RFC 6749 §3.3), so that none passes for a claim.
"""

DESTINATION: Final = "to\\"
"""What stands before where the answer goes, for clients that registered themselves."""


def destination_of(redirect_uri: str) -> str:
    """Return where an answer goes, as people are told: the host, or what else decides it.

    The host in a private-use URI decides nothing: whoever has the scheme gets the answer.
    """
    parts = split_uri(redirect_uri)
    if parts is not None and parts.scheme in ("https", "http") and parts.authority:
        return parts.authority
    return redirect_uri.partition(":")[0] + ":"


async def find_power(
    server: AuthorizationServer,
    tx: Transaction,
    user_id: str,
    client: Client,
    *,
    scope: Sequence[str],
    resources: Sequence[str],
) -> tuple[str, ...]:
    """Return the power over this service that a token of the person's would carry.

    It has to be allowed by name, besides the scope, and never goes to a client that nobody but
    itself has registered (decision 17).
    """
    if client.self_registered:
        return ()
    graph = await server.resources.role_graph.get()
    return graph.narrow(
        graph.reserved(await find_role_ids(tx, user_id)),
        scope=scope,
        audience=audience_of(server.issuer, resources, scope),
        resources=server.resources.settings.resources,
    )


async def record_consent(
    server: AuthorizationServer,
    tx: Transaction,
    *,
    user_id: str,
    client_id: str,
    wanted: Sequence[str],
    origin: Origin,
) -> None:
    """Note that the person allows the client all of ``wanted``, as they were shown it."""
    now = server.resources.clock.now()
    await save_consent(tx, user_id, client_id, frozenset(wanted), now=now)
    await server.resources.audit.record(
        tx,
        "consent.granted",
        origin,
        now=now,
        subject=user_id,
        client_id=client_id,
        scope=format_scope(wanted),
    )
