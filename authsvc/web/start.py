"""The start page: what this is, where things are, and who is signed in."""

from starlette.requests import Request
from starlette.responses import Response

from authsvc.oauth.third_party_login import list_known_apps
from authsvc.web.people import PeopleEdge

_LINKS = (
    ("OpenID Connect discovery", "/.well-known/openid-configuration", "what client apps read"),
    ("Public signing keys", "/jwks", "to verify tokens with"),
    ("Admin API", "/openapi.json", "its description, for tools"),
)


class StartEndpoint:
    """``GET /``."""

    def __init__(self, edge: PeopleEdge) -> None:
        self._edge = edge

    async def start(self, request: Request) -> Response:
        """Answer the page; for who is signed in, with a way out."""
        base_path = self._edge.base_path
        async with self._edge.server.resources.database.reading() as tx:
            browser = await self._edge.find_browser(tx, request)
            apps = (
                await list_known_apps(self._edge.server, tx, browser.session.user_id)
                if browser
                else []
            )
        if browser is not None:
            return self._edge.pages.render(
                "signed_in.html",
                username=browser.username,
                apps=apps,
                logout_url=f"{base_path}/logout",
                issuer=self._edge.server.issuer,
                discovery_url=f"{base_path}/.well-known/openid-configuration",
            )
        return self._edge.pages.render(
            "start.html",
            issuer=self._edge.server.issuer,
            links=[
                {"label": label, "href": f"{base_path}{path}", "note": note}
                for label, path, note in _LINKS
            ],
            signed_in_as=None,
        )
