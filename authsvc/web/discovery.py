"""The documents that clients configure themselves from: metadata and JWKS.

Their bytes are made once for each keyring, and clients may cache them.
"""

import hashlib

import orjson
from starlette.requests import Request
from starlette.responses import Response

from authsvc.oauth.metadata import build_metadata, check_metadata
from authsvc.oauth.server import AuthorizationServer
from authsvc.web.requests import server_of


class Discovery:
    """Answers both well-known documents and the JWKS of one server."""

    def __init__(self, server: AuthorizationServer) -> None:
        max_age = int(server.resources.settings.jwks_max_age.total_seconds())
        self._settings = server.resources.settings
        self._capabilities = server.capabilities
        self._cache_control = f"public, max-age={max_age}"
        self._made_for: tuple[str, ...] | None = None
        self._content = b""
        self._etag = ""

    async def metadata(self, request: Request) -> Response:
        """``GET /.well-known/openid-configuration`` and ``…/oauth-authorization-server``."""
        keyring = await server_of(request).resources.keyring.get()
        algorithms = tuple(keyring.active_algorithms)
        if algorithms != self._made_for:
            metadata = build_metadata(self._settings, self._capabilities, algorithms)
            check_metadata(metadata)
            self._content = orjson.dumps(metadata)
            self._etag = f'"{hashlib.sha256(self._content).hexdigest()[:32]}"'
            self._made_for = algorithms
        return self._cached(request, self._content, self._etag, "application/json")

    async def jwks(self, request: Request) -> Response:
        """``GET /jwks`` (RFC 7517 §5)."""
        keyring = await server_of(request).resources.keyring.get()
        return self._cached(request, keyring.jwks, keyring.jwks_etag, "application/jwk-set+json")

    def _cached(self, request: Request, content: bytes, etag: str, media_type: str) -> Response:
        headers = {"Cache-Control": self._cache_control, "ETag": etag}
        known = request.headers.get("if-none-match", "")
        if etag in known or known.strip() == "*":
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)
