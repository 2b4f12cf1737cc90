"""The logout endpoint (RP-Initiated Logout §2, Front-Channel Logout §3)."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from authsvc.oauth.authorize import SignedInBrowser
from authsvc.oauth.end_session import (
    LogoutRequest,
    end_browser_session,
    read_logout_request,
)
from authsvc.protocol.parameters import Parameters
from authsvc.storage.audit import Origin
from authsvc.web.csrf import STALE_FORM
from authsvc.web.errors import NO_STORE
from authsvc.web.people import PeopleEdge
from authsvc.web.requests import form_parameters, origin_of, query_parameters

_PARAMETERS = (
    "id_token_hint",
    "logout_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
    "ui_locales",
)


class LogoutEndpoints:
    """``/logout``, which clients send people to, and ``/logout/confirm``, our own form."""

    def __init__(self, edge: PeopleEdge) -> None:
        self._edge = edge
        self._database = edge.server.resources.database

    async def logout(self, request: Request) -> Response:
        """``GET`` and ``POST /logout``: ask, unless the hint proves what is meant.

        A POST is turned into a GET: only then do browsers send the session cookie along
        with what came from another site.
        """
        if request.method == "POST":
            form = await form_parameters(request)
            await read_logout_request(self._edge.server, form)
            return self._as_get(form)
        parameters = query_parameters(request)
        logout = await read_logout_request(self._edge.server, parameters)
        async with self._database.transaction() as tx:
            browser = await self._edge.find_browser(tx, request)
            if browser is not None and logout.is_vouched_for(browser):
                frames = await end_browser_session(
                    self._edge.server, tx, browser, logout.client, _origin(request, browser)
                )
        if browser is None:
            answer = self._answer(logout, ())
            return self._forget(answer) if request.state.session_is_over else answer
        if not logout.is_vouched_for(browser):
            return self._page(request, parameters, logout, browser)
        return self._forget(self._answer(logout, frames))

    async def confirm(self, request: Request) -> Response:
        """``POST /logout/confirm``: the person said yes.

        Without a session cookie it may come from another site. So a GET, with which the
        cookie comes if there is one, tells whether anybody is signed in.
        """
        form = await form_parameters(request)
        logout = await read_logout_request(self._edge.server, form)
        async with self._database.transaction() as tx:
            browser = await self._edge.find_browser(tx, request)
            if browser is None:
                # Our own form has no other fields: what else was sent goes into no URL.
                known = (pair for pair in form.pairs() if pair[0] in _PARAMETERS)
                return self._as_get(Parameters(known))
            if not self._edge.forms.check(request, form.get("csrf_token"), _form(browser)):
                return self._page(request, form, logout, browser, error=STALE_FORM, status=400)
            frames = await end_browser_session(
                self._edge.server, tx, browser, logout.client, _origin(request, browser)
            )
        return self._forget(self._answer(logout, frames))

    def _as_get(self, form: Parameters) -> Response:
        """Return the way to the same request as a GET."""
        location = f"{self._edge.base_path}/logout?{form.without('csrf_token').encode()}"
        return RedirectResponse(location, status_code=303, headers=NO_STORE)

    def _answer(self, logout: LogoutRequest, frames: Sequence[str]) -> Response:
        """Return the answer when nobody is signed in here any more.

        A page with ``frames`` tells the clients of a session that has ended just now.
        """
        if frames:
            return self._edge.pages.render(
                "front_channel_logout.html",
                scripts=logout.redirect_to is not None,
                frames=frames,
                location=logout.redirect_to,
            )
        if logout.redirect_to is not None:
            return RedirectResponse(logout.redirect_to, 303, headers=NO_STORE)
        return self._edge.pages.render("logged_out.html")

    def _forget(self, response: Response) -> Response:
        """Let the browser forget the session that it named and that has ended.

        Only that: a page of another site, whose requests come without the cookie, must not
        be able to take it away.
        """
        self._edge.cookies.clear_session(response)
        self._edge.cookies.clear_browser_state(response)
        return response

    def _page(
        self,
        request: Request,
        parameters: Parameters,
        logout: LogoutRequest,
        session: SignedInBrowser,
        *,
        error: str | None = None,
        status: int = 200,
    ) -> Response:
        browser = self._edge.forms.browser_of(request)
        response = self._edge.pages.render(
            "logout.html",
            status=status,
            leads_away=logout.redirect_to is not None,
            action=f"{self._edge.base_path}/logout/confirm",
            csrf_token=self._edge.forms.make(browser, _form(session)),
            fields=[pair for pair in parameters.pairs() if pair[0] in _PARAMETERS],
            client_name=logout.client.name if logout.client else None,
            username=session.username,
            error=error,
        )
        self._edge.forms.keep(request, response, browser)
        return response


def _form(browser: SignedInBrowser) -> str:
    return f"logout {browser.session.id}"


def _origin(request: Request, browser: SignedInBrowser) -> Origin:
    return origin_of(request, f"user:{browser.session.user_id}")
