"""What the endpoints that people visit have in common."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from authsvc.oauth.authorize import SignedInBrowser
from authsvc.oauth.server import AuthorizationServer
from authsvc.oauth.session_management import browser_state
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

    @property
    def forgot_url(self) -> str | None:
        """Where who forgot a password asks for a link; None where no mail is sent."""
        sends_mail = self.server.resources.mail_server is not None
        return f"{self.base_path}/password/forgot" if sends_mail else None

    async def find_browser(self, tx: Transaction, request: Request) -> SignedInBrowser | None:
        """Return the session of the browser that asks, or None."""
        cookie = self.cookies.session(request)
        found = await self.server.resources.sessions.find(tx, cookie)
        request.state.session_is_over = cookie is not None and found is None
        return None if found is None else SignedInBrowser(*found)

    def settle_browser_state(
        self, request: Request, response: Response, session_id: str | None
    ) -> None:
        """Give the browser the readable value of its session, or take that of one that is over.

        Session Management §3.2. A request without the session's cookie says nothing: it may
        come from a frame of another site, to which browsers do not send it.
        """
        kept = self.cookies.browser_state(request)
        if session_id is not None:
            if kept != browser_state(self.server, session_id):
                self.set_browser_state(response, session_id)
        elif kept and getattr(request.state, "session_is_over", False):
            self.cookies.clear_browser_state(response)

    def set_browser_state(self, response: Response, session_id: str) -> None:
        """Give a browser that has just signed in the readable value of its session."""
        self.cookies.set_browser_state(response, browser_state(self.server, session_id))


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
