"""What the endpoints that people visit have in common."""

from dataclasses import dataclass

from starlette.requests import Request

from authsvc.oauth.authorize import SignedInBrowser
from authsvc.oauth.server import AuthorizationServer
from authsvc.storage.database import Transaction
from authsvc.web.continuation import Continuations
from authsvc.web.cookies import Cookies
from authsvc.web.csrf import FormTokens
from authsvc.web.pages import Pages


@dataclass(frozen=True, slots=True)
class PeopleEdge:
    """The server, and the pages, cookies and forms by which people meet it."""

    server: AuthorizationServer
    pages: Pages
    cookies: Cookies
    forms: FormTokens
    continuations: Continuations

    @property
    def base_path(self) -> str:
        """The issuer's path, empty or with a leading slash."""
        return self.server.resources.settings.base_path

    async def find_browser(self, tx: Transaction, request: Request) -> SignedInBrowser | None:
        """Return the session of the browser that asks, or None."""
        found = await self.server.resources.sessions.find(tx, self.cookies.session(request))
        return None if found is None else SignedInBrowser(*found)


def open_people_edge(server: AuthorizationServer) -> PeopleEdge:
    """Return the edge of ``server`` where people come in."""
    settings, root = server.resources.settings, server.resources.root
    cookies = Cookies(settings.secure, settings.session_ttl)
    return PeopleEdge(
        server,
        Pages(base_path=settings.base_path),
        cookies,
        FormTokens(root, cookies),
        Continuations(root),
    )
