"""A provider under load: where it listens, what it serves where, and who may ask it."""

import base64
import json
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import psutil

REDIRECT_URI: Final = "https://app.example/callback"
RESOURCES: Final = {"ES256": "https://es.example/", "RS256": "https://rs.example/"}
"""What a token of each algorithm is asked for."""

_METADATA: Final = {
    "jwks": "jwks_uri",
    "token": "token_endpoint",
    "introspect": "introspection_endpoint",
    "revoke": "revocation_endpoint",
    "authorize": "authorization_endpoint",
}
DISCOVERY: Final = "/.well-known/openid-configuration"
_PATIENCE: Final = 60


@dataclass(frozen=True)
class Client:
    """A client that authenticates by ``client_secret_basic``."""

    id: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def authorization(self) -> str:
        """The value of the header (RFC 6749 §2.3.1)."""
        pair = f"{quote_plus(self.id)}:{quote_plus(self.secret)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


@dataclass(frozen=True)
class Known:
    """Whom each provider knows: the same clients and people, with the same secrets."""

    service: Client = field(default_factory=lambda: Client("service"))
    web: Client = field(default_factory=lambda: Client("web"))
    people: Sequence[str] = tuple(f"person{number}" for number in range(64))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)


@dataclass(frozen=True)
class Target:
    """A provider that answers on ``port``; ``paths`` names its endpoints.

    ``stores`` are the servers that work for it.
    """

    name: str
    port: int
    paths: Mapping[str, str]
    process: psutil.Process
    stores: Sequence[psutil.Process]
    known: Known
    seconds_to_answer: float

    def url(self, endpoint: str) -> str:
        """Return the URL of an endpoint, as it is reached here."""
        return f"http://127.0.0.1:{self.port}{self.paths[endpoint]}"

    def post(self, endpoint: str, client: Client, form: Mapping[str, str]) -> bytes:
        """Return a request of a client as it goes over the wire."""
        body = urlencode(form).encode()
        head = (
            f"POST {self.paths[endpoint]} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: {client.authorization}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def client_credentials(algorithm: str | None) -> dict[str, str]:
    """Return the form that asks for a token of the service's own.

    With an algorithm it is a JWT; without, whatever the provider issues for nobody in particular.
    """
    form = {"grant_type": "client_credentials", "scope": "api:read"}
    return {**form, "resource": RESOURCES[algorithm]} if algorithm else form


def await_answer(port: int, process: psutil.Process, started: float) -> tuple[float, Any]:
    """Wait until the metadata is answered; return the seconds since ``started``, and the metadata.

    Raises RuntimeError when the process ended, or takes too long.
    """
    request = f"GET {DISCOVERY} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    while time.perf_counter() < started + _PATIENCE:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
                connection.sendall(request)
                with connection.makefile("rb") as answer:
                    received = answer.read()
        except OSError:
            received = b""
        seconds = time.perf_counter() - started
        head, _, body = received.partition(b"\r\n\r\n")
        if head[9:12] == b"200":
            return seconds, json.loads(body)
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.002)
    raise RuntimeError(f"{process.pid} does not answer on port {port}")


def paths_in(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the path of each endpoint that the metadata names."""
    found = {name: urlsplit(metadata[member]).path for name, member in _METADATA.items()}
    return {"discovery": DISCOVERY, **found}
