"""Client authentication (RFC 6749 §2.3, RFC 7523, OpenID Connect Core §9).

Unknown client, wrong secret and wrong method are one answer. A request that uses two
methods at once is refused (RFC 6749 §2.3).
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from authsvc.oauth.client_assertion import (
    METHODS,
    InvalidAssertion,
    VerifiedAssertion,
    read_assertion,
    spend_assertion,
    verify_assertion,
)
from authsvc.oauth.clients import Client
from authsvc.oauth.context import ClientRequest
from authsvc.protocol.errors import InvalidClient, InvalidRequest
from authsvc.tracing import span

_MAX_CREDENTIALS = 8_192


@dataclass(frozen=True, slots=True)
class _Credentials:
    method: str
    client_id: str
    secret: str = ""


@dataclass(frozen=True, slots=True)
class CheckedClient:
    """The client that makes a request; its assertion, if it used one, is not spent yet."""

    client: Client
    assertion: VerifiedAssertion | None


async def authenticate_client(request: ClientRequest) -> Client:
    """Return the client that makes the request; raises InvalidClient or InvalidRequest."""
    return await admit_client(request, await check_client(request))


async def check_client(request: ClientRequest) -> CheckedClient:
    """Return who makes the request; no statement is run, unless it is refused.

    Raises InvalidClient or InvalidRequest.
    """
    with span("authenticate client"):
        return await _check_client(request)


async def _check_client(request: ClientRequest) -> CheckedClient:
    credentials = _read_credentials(request)
    client = await request.server.clients.find(credentials.client_id)
    try:
        assertion = await _check(request, client, credentials)
    except InvalidClient as error:
        if client is not None:
            await _record_failure(request, client, error)
        raise
    if client is None:
        raise _failed("unknown client")
    return CheckedClient(client, assertion)


async def admit_client(request: ClientRequest, checked: CheckedClient) -> Client:
    """Spend the client's assertion, count the request, and return the client.

    Raises InvalidClient for an assertion that was used before, or TooManyRequests.
    """
    if checked.assertion is not None:
        try:
            await spend_assertion(request, checked.assertion)
        except InvalidAssertion as error:
            refused = _failed(f"assertion: {error}")
            await _record_failure(request, checked.client, refused)
            raise refused from error
    request.admit(checked.client)
    return checked.client


async def _check(
    request: ClientRequest, client: Client | None, credentials: _Credentials
) -> VerifiedAssertion | None:
    right = await _is_right(request, client, credentials)
    if client is None:
        raise _failed("unknown client")
    if not client.check_endpoint_auth_method(credentials.method, "token"):
        raise _failed("another method is registered")
    if not right:
        raise _failed("wrong secret")
    if credentials.method not in METHODS:
        return None
    try:
        return await verify_assertion(request, client, credentials.secret)
    except InvalidAssertion as error:
        raise _failed(f"assertion: {error}") from error


async def _is_right(
    request: ClientRequest, client: Client | None, credentials: _Credentials
) -> bool:
    """Tell whether the secret is the client's; true for methods that use none."""
    if credentials.method in (*METHODS, "none"):
        return True
    # Computed for unknown clients as well: both answers take the same time.
    given = request.server.resources.opaque_hash("client secret", credentials.secret)
    right = False
    for secret in client.secrets if client else ():
        living = secret.expires_at is None or secret.expires_at > request.now
        right |= hmac.compare_digest(given, secret.secret_hash) and living
    return right


async def _record_failure(request: ClientRequest, client: Client, error: InvalidClient) -> None:
    await request.server.resources.audit.record(
        request.tx,
        "client.authentication_failed",
        request.origin,
        now=request.now,
        subject=client.client_id,
        client_id=client.client_id,
        reason=error.detail,
    )


def _read_credentials(request: ClientRequest) -> _Credentials:
    parameters = request.parameters
    found = []
    if request.authorization is not None:
        found.append(_parse_basic(request.authorization))
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        try:
            found.append(_Credentials(*read_assertion(parameters)))
        except InvalidAssertion as error:
            raise _failed(f"assertion: {error}") from error
    client_id = parameters.get("client_id")
    if "client_secret" in parameters:
        if client_id is None:
            raise _failed("client_secret without client_id")
        secret = parameters.require("client_secret")
        found.append(_Credentials("client_secret_post", client_id, secret))
    if len(found) > 1:
        raise InvalidRequest("The client authenticates in more than one way")
    if not found:
        if client_id is None:
            raise _failed("no client authentication")
        return _Credentials("none", client_id)
    if client_id is not None and client_id != found[0].client_id:
        raise InvalidRequest("client_id is not that of the client that authenticates")
    return found[0]


def _parse_basic(header: str) -> _Credentials:
    """Read a Basic header; both parts are form-encoded (RFC 6749 §2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _MAX_CREDENTIALS:
        raise _failed("not a Basic header")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _failed("malformed Basic header") from error
    client_id, colon, secret = decoded.partition(":")
    if not colon or not client_id:
        raise _failed("malformed Basic header")
    return _Credentials("client_secret_basic", _form_decode(client_id), _form_decode(secret))


def _form_decode(text: str) -> str:
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError as error:
        raise _failed("malformed Basic header") from error
    if "\x00" in decoded:
        raise _failed("malformed Basic header")
    return decoded


def _failed(detail: str) -> InvalidClient:
    return InvalidClient("Client authentication failed", detail=detail)
