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
_PRIVATE_USE_URI = re.compile(r"([a-z][a-z0-9+.-]*):.+", re.IGNORECASE)
_VISIBLE_ASCII = re.compile(r"[!-~]+")
# Never a bare http: or https:, which would allow every host, and no scheme that a
# browser itself gives a meaning to.
_REFUSED_SCHEMES = frozenset(
    {"http", "https", "ws", "wss", "ftp", "file", "filesystem", "blob", "data", "about"}
    | {"javascript", "vbscript", "view-source"}
)

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

    ``scheme://host`` or ``scheme://host:port`` for http and https, ``scheme:`` for a
    private-use scheme (RFC 8252 §7.1). CSP Level 3 §2.3.1 has no form for an IPv6
    literal, so that gives None. The result never holds a space, ``;``, ``,``, quote
    or wildcard, so it can neither end its directive nor widen it.
    """
    if not _VISIBLE_ASCII.fullmatch(uri):
        return None
    if web := _WEB_URI.fullmatch(uri):
        scheme, host, port = web[1].lower(), web[2].lower(), web[3]
        if not port:
            return f"{scheme}://{host}"
        return f"{scheme}://{host}:{int(port)}" if 0 < int(port) <= 65535 else None
    private_use = _PRIVATE_USE_URI.fullmatch(uri)
    if private_use is None or private_use[1].lower() in _REFUSED_SCHEMES:
        return None
    return f"{private_use[1].lower()}:"


def web_uri(uri: str | None) -> str | None:
    """Return ``uri`` if it is an http or https URI that may become a link, else None.

    A client's ``policy_uri`` and its like are the client's words (RFC 7591 §2).
    """
    source = csp_source(uri) if uri else None
    return uri if source and source.startswith(("http://", "https://")) else None


def _content_security_policy(
    form_action: Sequence[str], *, scripts: bool, frames: Sequence[str]
) -> str:
    sources = dict.fromkeys(source for uri in form_action if (source := csp_source(uri)))
    directives = [
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        " ".join(["form-action 'self'", *sources]),
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
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
        form_action: Sequence[str] = (),
        scripts: bool = False,
        frames: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> HTMLResponse:
        """Render ``template`` (a file name) with ``values`` under a strict CSP.

        ``form_action`` are the URIs a form of the page may lead to besides this origin:
        Chromium applies ``form-action`` to the redirects that follow a POST too, so a
        login page needs its client's redirect URI. What has no CSP source is left out.
        ``scripts`` lets the page load this service's own scripts. ``frames`` are the URIs
        that the page shows in frames, the template's ``frames``, too. ``headers`` are added,
        and cannot weaken those every page has. A value named like a Python keyword is
        given with an underscore: ``continue_`` is the template's ``continue``.

        Raises jinja2.TemplateNotFound, and jinja2.UndefinedError for a missing value.
        """
        context = {name.removesuffix("_"): value for name, value in values.items()}
        content = self._environment.get_template(template).render(
            context, status=status, frames=frames
        )
        response = HTMLResponse(content, status_code=status, headers=headers)
        response.headers.update(_PAGE_HEADERS)
        response.headers["Content-Security-Policy"] = _content_security_policy(
            form_action, scripts=scripts, frames=frames
        )
        return response

    def render_for_frames(self, template: str) -> HTMLResponse:
        """Render ``template``, which shows nothing and knows nobody, for any site to frame."""
        response = HTMLResponse(self._environment.get_template(template).render())
        response.headers.update(_FRAMED_HEADERS)
        return response
