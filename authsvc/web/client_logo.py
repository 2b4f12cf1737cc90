"""``/clients/{client_id}/logo``: a client's logo, fetched for the person who looks at it.

The browser of a person who is asked for consent never meets the client's own host (RFC 7591
§5 warns of logos): the guarded client fetches it, and only a bitmap is handed on.
"""

from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from authsvc.oauth.clients import Client
from authsvc.outbound import OutboundError
from authsvc.protocol.errors import NotFound
from authsvc.protocol.text import is_storable
from authsvc.web.requests import server_of

_MAX_BYTES: Final = 262_144
_HEADERS: Final = {
    "Cache-Control": "private, max-age=3600",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def logo_path(client: Client) -> str | None:
    """Return where the client's logo is, below the issuer's path; None without one."""
    if client.metadata.logo_uri is None:
        return None
    return f"/clients/{quote(client.client_id, safe='')}/logo"


async def client_logo(request: Request) -> Response:
    """``GET /clients/{client_id}/logo``; raises NotFound for whatever can not be shown."""
    server, client_id = server_of(request), request.path_params["client_id"]
    client = await server.clients.find(client_id) if is_storable(client_id) else None
    if client is None or client.metadata.logo_uri is None:
        raise NotFound("There is no such logo")
    try:
        image = await server.resources.outbound.get(
            client.metadata.logo_uri, accept="image/*", max_bytes=_MAX_BYTES
        )
    except OutboundError as error:
        raise NotFound("There is no such logo", detail=error.reason) from error
    media_type = find_media_type(image)
    if media_type is None:
        raise NotFound("There is no such logo", detail="not a bitmap")
    return Response(image, media_type=media_type, headers=_HEADERS)


def find_media_type(image: bytes) -> str | None:
    """Return the type of a bitmap by its first bytes (MIME Sniffing §6.1), or None.

    What the client's host says does not count. An SVG may hold scripts and is none.
    """
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if image.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if image.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if image.startswith(b"RIFF") and image[8:14] == b"WEBPVP":
        return "image/webp"
    return None
