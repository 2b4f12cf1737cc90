"""The keys that an issuer publishes, as a resource server keeps them.

Metadata and JWKS are fetched when first needed, kept for the max-age that the issuer
states, and fetched again for a ``kid`` that is not known, but never more often than every
few seconds: whoever sends invented ``kid`` values must not make us a flood.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from authsvc.protocol.errors import TemporarilyUnavailable
from authsvc.signing.algorithms import ALGORITHMS

REFETCH_PAUSE: Final = 5.0
"""Seconds between two look-ups of a ``kid`` that is not known."""
_FAILURE_PAUSE: Final = 1.0
_DEFAULT_MAX_AGE: Final = 300.0
_LONGEST_MAX_AGE: Final = 86_400.0
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=([0-9]{1,9})(?:$|[,\s])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Documents:
    """What was fetched at one time; the instants are of ``time.monotonic``."""

    metadata: Mapping[str, Any]
    jwks: Mapping[str, Mapping[str, Any]]
    fetched_at: float
    fresh_until: float


class PublishedKeys:
    """Finds the public keys and the endpoints of ``issuer``, an issuer identifier."""

    def __init__(self, issuer: str, http: httpx.AsyncClient) -> None:
        self._issuer = issuer
        self._http = http
        self._documents: _Documents | None = None
        self._fetching = asyncio.Lock()
        self._failed_at = float("-inf")

    async def find(self, kid: str) -> Mapping[str, Any] | None:
        """Return the JWK that is published as ``kid``, or None.

        Raises TemporarilyUnavailable while the issuer can not be asked.
        """
        documents = await self._current()
        if kid not in documents.jwks and time.monotonic() - documents.fetched_at >= REFETCH_PAUSE:
            documents = await self._renew(documents)
        return documents.jwks.get(kid)

    async def endpoint(self, name: str) -> str:
        """Return the URL of the metadata's member ``name``; raises TemporarilyUnavailable."""
        url: object = (await self._current()).metadata.get(name)
        if not isinstance(url, str) or not self._is_acceptable(url):
            raise _unavailable(f"metadata: {name}")
        return url

    async def _current(self) -> _Documents:
        documents = self._documents
        if documents is None or documents.fresh_until <= time.monotonic():
            return await self._renew(documents)
        return documents

    async def _renew(self, known: _Documents | None) -> _Documents:
        """Fetch anew, unless another task has done so since the caller looked."""
        async with self._fetching:
            if self._documents is not None and self._documents is not known:
                return self._documents
            if time.monotonic() - self._failed_at < _FAILURE_PAUSE:
                raise _unavailable("the issuer did not answer a moment ago")
            try:
                self._documents = await self._fetch()
            except (httpx.HTTPError, ValueError, TypeError) as error:
                self._failed_at = time.monotonic()
                raise _unavailable(f"{type(error).__name__}") from error
            return self._documents

    async def _fetch(self) -> _Documents:
        metadata = await self._get_object(f"{self._issuer}/.well-known/openid-configuration")
        # RFC 8414 §3.3: metadata that names another issuer must not be used.
        if metadata.json().get("issuer") != self._issuer:
            raise ValueError("the metadata is of another issuer")
        jwks_uri = metadata.json().get("jwks_uri")
        if not isinstance(jwks_uri, str) or not self._is_acceptable(jwks_uri):
            raise ValueError("no usable jwks_uri")
        jwks = await self._get_object(jwks_uri)
        now = time.monotonic()
        return _Documents(metadata.json(), _read_keys(jwks.json()), now, now + _read_max_age(jwks))

    async def _get_object(self, url: str) -> httpx.Response:
        response = await self._http.get(url)
        if response.status_code != 200 or not isinstance(response.json(), dict):
            raise ValueError("not a JSON object")
        return response

    def _is_acceptable(self, url: str) -> bool:
        # An issuer on TLS must not send us out of it.
        return url.startswith("https://") or not self._issuer.startswith("https://")


def _read_keys(jwks: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the keys that can verify our tokens, by ``kid``; each has one algorithm."""
    keys = jwks.get("keys")
    if not isinstance(keys, list):
        raise ValueError("the JWKS holds no keys")
    return {
        jwk["kid"]: jwk
        for jwk in keys
        if isinstance(jwk, dict)
        and isinstance(jwk.get("kid"), str)
        and jwk.get("alg") in ALGORITHMS
        and jwk.get("use", "sig") == "sig"
    }


def _read_max_age(response: httpx.Response) -> float:
    found = _MAX_AGE.search(response.headers.get("cache-control", ""))
    return min(float(found[1]), _LONGEST_MAX_AGE) if found else _DEFAULT_MAX_AGE


def _unavailable(detail: str) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        "Access tokens can not be verified right now", detail=detail, retry_after=1
    )
