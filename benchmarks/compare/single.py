"""Cells that are one request again and again."""

import base64
import json
from functools import partial
from typing import Any
from urllib.parse import urlencode

from benchmarks.compare import wrk
from benchmarks.compare.cell import Amount, Wrong
from benchmarks.compare.connection import Connection
from benchmarks.compare.person import ask_json
from benchmarks.compare.rated import Rated
from benchmarks.compare.target import Target, client_credentials


async def ask(target: Target, endpoint: str, form: dict[str, str]) -> dict[str, Any]:
    """Return what the service is answered; Refused unless it is 200."""
    async with Connection(target.port) as connection:
        client = target.known.service
        return await ask_json(connection, target.post(endpoint, client, form))


def same_request(
    target: Target, amount: Amount, endpoint: str, form: dict[str, str] | None = None
) -> Rated:
    """Send the same request again and again: a form of the service's, or GET without one."""
    body = urlencode(form or {})
    authorization = target.known.service.authorization if form else ""
    load = partial(
        wrk.load,
        target.url(endpoint),
        connections=amount.connections,
        body=body,
        authorization=authorization,
    )
    if amount.warm:
        load(seconds=amount.warm)
    return load(seconds=amount.seconds)


async def discovery(target: Target, amount: Amount) -> Rated:
    """Read the metadata."""
    return same_request(target, amount, "discovery")


async def jwks(target: Target, amount: Amount) -> Rated:
    """Read the keys."""
    return same_request(target, amount, "jwks")


async def service_token(target: Target, amount: Amount, *, algorithm: str) -> Rated:
    """Get a token of the service's own, signed by the algorithm."""
    form = client_credentials(algorithm)
    found = same_request(target, amount, "token", form)
    token = (await ask(target, "token", form))["access_token"]
    if (signed_by := header_of(token).get("alg")) != algorithm:
        raise Wrong(f"{target.name} signed by {signed_by}")
    return found


async def introspection(target: Target, amount: Amount) -> Rated:
    """Ask about one living token: a JWT of ours, a reference of the peer, which knows no others."""
    ours = target.name == "ours"
    form = client_credentials("ES256" if ours else None)
    token = {"token": (await ask(target, "token", form))["access_token"]}
    if (token["token"].count(".") == 2) is not ours:
        raise Wrong(f"{target.name} issued another kind of token")
    found = same_request(target, amount, "introspect", token)
    if (await ask(target, "introspect", token))["active"] is not True:
        raise Wrong(f"{target.name} says that a living token is not active")
    return found


def header_of(token: str) -> dict[str, Any]:
    """Return the header of a JWT; empty for a token that is none."""
    first, _, rest = token.partition(".")
    if not rest:
        return {}
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return header
