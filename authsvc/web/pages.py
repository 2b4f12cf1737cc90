"""The pages people see: rendered templates, each under its own strict CSP.

Templates escape everything and fail on a missing variable. ``base_path``,
``status`` and the values given to ``render`` are what they know.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

# CSP Level 3 §2.3.1 host-part, narrower: no wildcard, no trailing dot.
_WEB_URI = re.compile(
    r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([0-9]{0,5}))?(?:[/?#].*)?", re.IGNORECASE
)
_VISIBLE_ASCII = re.compile(r"[!-~]+")
_MAX_FRAME_SOURCES = 40

_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_FRAMED_HEADERS = {
    "Cache-Control": "public, max-age=300",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; form-action 'none'; base-uri 'none'"
    ),
}


def csp_source(uri: str) -> str | None:
    """Return the CSP source expression that covers ``uri``, or None where there is none.

    ``scheme://host`` or ``scheme://host:port``, for http and https alone. CSP Level 3
    §2.3.1 has no form for an IPv6 literal, so that gives None. The result never holds a
    space, ``;``, ``,``, quote or wildcard, so it can neither end its directive nor widen it.
    """
    web = _WEB_URI.fullmatch(uri) if _VISIBLE_ASCII.fullmatch(uri) else None
    if web is None:
        return None
    scheme, host, port = web[1].lower(), web[2].lower(), web[3]
    if not port:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{int(port)}" if 0 < int(port) <= 65535 else None


def web_uri(uri: str | None) -> str | None:
    """Return ``uri`` if it is an http or https URI that may become a link, else None.

    A client's ``policy_uri`` and its like are the client's words (RFC 7591 §2).
    """
    return uri if uri and csp_source(uri) else None


def _content_security_policy(*, leads_away: bool, scripts: bool, frames: Sequence[str]) -> str:
    directives = [
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    if not leads_away:
        directives.append("form-action 'self'")
    if scripts:
        directives.append("script-src 'self'")
    if framed := dict.fromkeys(source for uri in frames if (source := csp_source(uri))):
        directives.append(" ".join(["frame-src", *_shortened(framed)]))
    return "; ".join(directives)


def _shortened(sources: Iterable[str]) -> list[str]:
    """Return the sources, or all https where so many would not fit into a proxy's buffer."""
    named = list(sources)
    if len(named) <= _MAX_FRAME_SOURCES:
        return named
    return ["https:", *(source for source in named if not source.startswith("https:"))]


class Pages:
    """Renders the templates of this package as responses."""

    def __init__(self, *, base_path: str) -> None:
        """Prepare the templates; ``base_path`` is the issuer's path, ``''`` or ``/like/this``.

        Raises ValueError when it is anything else: ``//host`` would load the assets
        from another origin.
        """
        if not re.fullmatch(r"(?:/[A-Za-z0-9._~%-]+)*", base_path):
            raise ValueError("base_path is '' or a path without a trailing slash")
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["base_path"] = base_path
        self._environment.filters["web_uri"] = web_uri

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        leads_away: bool = False,
        tells_origin: bool = False,
        holds_secret: bool = False,
        scripts: bool = False,
        frames: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> HTMLResponse:
        """Render ``template`` (a file name) with ``values`` under a strict CSP.

        ``leads_away`` is for a page whose form may end at a client: Chromium applies
        ``form-action`` to every redirect that follows a POST, also to those of the client,
        which only the client knows. Then the page says nothing of where its forms may lead.
        ``tells_origin`` lets the page's form carry this origin, never a path, to another
        one: without it ``Origin`` would be null there. ``holds_secret`` is for a page whose URL
        is one: it is told nobody, not even ourselves. ``scripts`` lets the page load this
        service's own scripts. ``frames`` are the URIs that the page shows in frames, the
        template's ``frames``, too. ``headers`` are added, and cannot weaken those every
        page has. A value named like a Python keyword is given with an underscore:
        ``continue_`` is the template's ``continue``.

        Raises jinja2.TemplateNotFound, and jinja2.UndefinedError for a missing value.
        """
        context = {name.removesuffix("_"): value for name, value in values.items()}
        content = self._environment.get_template(template).render(
            context, status=status, frames=frames
        )
        response = HTMLResponse(content, status_code=status, headers=headers)
        response.headers.update(_PAGE_HEADERS)
        if tells_origin:
            response.headers["Referrer-Policy"] = "origin"
        if holds_secret:
            response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Content-Security-Policy"] = _content_security_policy(
            leads_away=leads_away, scripts=scripts, frames=frames
        )
        return response

    def render_for_frames(self, template: str) -> HTMLResponse:
        """Render ``template``, which shows nothing and knows nobody, for any site to frame."""
        response = HTMLResponse(self._environment.get_template(template).render())
        response.headers.update(_FRAMED_HEADERS)
        return response
