"""The authorization endpoint and the two pages on the way: consent, and back from login.

The way of a request: read where the answer may go (an error is shown), read the rest (an
error is told the client), decide, and then a redirect, a form post, or a page.
"""

from collections.abc import Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from authsvc.oauth.authorization_request import (
    AuthorizationRequest,
    Target,
    find_client,
    open_parameters,
    read_authorization_request,
    read_target,
)
from authsvc.oauth.authorize import (
    AuthorizationResponse,
    ConsentNeeded,
    Decision,
    LoginNeeded,
    SelectionNeeded,
    SignedInBrowser,
    decide,
    deny,
    error_response,
    find_wanted,
    grant_consent,
)
from authsvc.oauth.consent import destination_of
from authsvc.protocol.errors import InvalidRequest, OAuthError
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.redirect_uri import add_fragment, add_parameters
from authsvc.storage.database import Transaction
from authsvc.web.consent_terms import client_as_shown, terms_as_shown
from authsvc.web.continuation import Continuation
from authsvc.web.errors import NO_STORE
from authsvc.web.people import PeopleEdge
from authsvc.web.requests import form_parameters, origin_of, query_parameters


class AuthorizeEndpoints:
    """``/authorize``, ``/authorize/resume`` and ``/consent``."""

    def __init__(self, edge: PeopleEdge) -> None:
        self._edge = edge
        self._server = edge.server

    async def authorize(self, request: Request) -> Response:
        """``GET`` and ``POST /authorize`` (RFC 6749 §3.1, OpenID Connect Core §3.1.2.1).

        A POST is turned into a GET: only then do browsers send the session cookie along
        with what came from another site.
        """
        if request.method == "POST":
            parameters = await form_parameters(request)
            await find_client(self._server, parameters)
            location = f"{self._edge.base_path}/authorize?{parameters.encode()}"
            return RedirectResponse(location, status_code=303, headers=NO_STORE)
        parameters = query_parameters(request)
        client = await find_client(self._server, parameters)
        try:
            parameters = await open_parameters(self._server, client, parameters)
        except OAuthError as error:
            target = await self._find_outer_target(parameters)
            if target is None:
                raise
            return self._told(request, target, error)
        return await self._proceed(request, parameters, None)

    async def resume(self, request: Request) -> Response:
        """``GET /authorize/resume``: go on after signing in."""
        continuation = self._open(query_parameters(request).get("continue"))
        browser = self._edge.cookies.browser(request)
        asked_at = continuation.asked_at_in(browser)
        return await self._proceed(request, continuation.parameters, asked_at)

    async def consent(self, request: Request) -> Response:
        """``POST /consent``: the person's answer."""
        form = await form_parameters(request)
        continuation = self._open(form.get("continue"))
        asked_at = continuation.asked_at_in(self._edge.cookies.browser(request))
        parameters = continuation.parameters
        target = await read_target(self._server, parameters)
        decision: Decision
        try:
            authorization = await read_authorization_request(self._server, target, parameters)
            async with self._server.resources.database.transaction() as tx:
                browser = await self._edge.find_browser(tx, request)
                decision = await self._answer_consent(
                    tx, request, form, authorization, browser, asked_at
                )
        except OAuthError as error:
            return self._told(request, target, error)
        return self._respond(request, authorization, decision, asked_at)

    async def _answer_consent(
        self,
        tx: Transaction,
        request: Request,
        form: Parameters,
        authorization: AuthorizationRequest,
        browser: SignedInBrowser | None,
        asked_at: datetime | None,
    ) -> Decision:
        if browser is not None:
            wanted = await find_wanted(self._server, tx, authorization, browser.session)
            about = _consent_form(browser, form.get("continue"), wanted)
            answered = self._edge.forms.check(request, form.get("csrf_token"), about)
            if answered and form.get("decision") == "deny":
                return deny(self._server, authorization.target)
            if answered and form.get("decision") == "approve":
                origin = origin_of(request, f"user:{browser.session.user_id}")
                browser = await grant_consent(
                    self._server, tx, authorization, browser, wanted, origin
                )
        # Without a valid answer this decides as before, and so asks again.
        return await decide(self._server, tx, authorization, browser, asked_at=asked_at)

    async def _find_outer_target(self, parameters: Parameters) -> Target | None:
        """Return where to tell of a request object that is wrong: only what is outside counts."""
        try:
            return await read_target(self._server, parameters)
        except OAuthError:
            return None

    async def _proceed(
        self, request: Request, parameters: Parameters, asked_at: datetime | None
    ) -> Response:
        target = await read_target(self._server, parameters)
        try:
            authorization = await read_authorization_request(self._server, target, parameters)
            async with self._server.resources.database.transaction() as tx:
                browser = await self._edge.find_browser(tx, request)
                decision = await decide(self._server, tx, authorization, browser, asked_at=asked_at)
        except OAuthError as error:
            return self._told(request, target, error)
        return self._respond(request, authorization, decision, asked_at)

    def _respond(
        self,
        request: Request,
        authorization: AuthorizationRequest,
        decision: Decision,
        asked_at: datetime | None,
    ) -> Response:
        if isinstance(decision, AuthorizationResponse):
            answer = self._redirect(decision)
            self._edge.settle_browser_state(request, answer, decision.session_id)
            return answer
        browser = self._edge.forms.browser_of(request)
        asked_at = asked_at or self._server.resources.clock.now()
        sealed = self._edge.continuations.seal(authorization.parameters, asked_at, browser)
        response: Response
        if isinstance(decision, LoginNeeded):
            location = add_parameters(f"{self._edge.base_path}/login", [("continue", sealed)])
            response = RedirectResponse(location, status_code=303, headers=NO_STORE)
        elif isinstance(decision, SelectionNeeded):
            response = self._selection_page(authorization, decision, sealed, browser)
        else:
            response = self._consent_page(authorization, decision, sealed, browser)
        self._edge.forms.keep(request, response, browser)
        self._edge.settle_browser_state(request, response, None)
        return response

    def _selection_page(
        self,
        authorization: AuthorizationRequest,
        decision: SelectionNeeded,
        sealed: str,
        browser: str,
    ) -> Response:
        prompts = authorization.prompts - {"select_account"}
        return self._edge.pages.render(
            "select_account.html",
            client_name=authorization.target.client.name,
            username=decision.browser.username,
            continue_url=self._resume_url(authorization, prompts, browser),
            other_url=add_parameters(f"{self._edge.base_path}/login", [("continue", sealed)]),
        )

    def _resume_url(
        self, authorization: AuthorizationRequest, prompts: frozenset[str], browser: str
    ) -> str:
        """Return where the request goes on from now on with other prompts."""
        now = self._server.resources.clock.now()
        parameters = authorization.parameters.replaced("prompt", " ".join(sorted(prompts)))
        sealed = self._edge.continuations.seal(parameters, now, browser)
        return add_parameters(f"{self._edge.base_path}/authorize/resume", [("continue", sealed)])

    def _consent_page(
        self,
        authorization: AuthorizationRequest,
        decision: ConsentNeeded,
        sealed: str,
        browser: str,
    ) -> Response:
        target = authorization.target
        return self._edge.pages.render(
            "consent.html",
            leads_away=True,
            action=f"{self._edge.base_path}/consent",
            csrf_token=self._edge.forms.make(
                browser, _consent_form(decision.browser, sealed, decision.wanted)
            ),
            continue_=sealed,
            username=decision.browser.username,
            client=client_as_shown(target.client),
            scopes=terms_as_shown(decision.wanted),
            redirect_host=destination_of(target.redirect_uri),
            switch_url=self._resume_url(
                authorization, authorization.prompts - {"select_account"} | {"login"}, browser
            ),
        )

    def _told(self, request: Request, target: Target, error: OAuthError) -> Response:
        """Tell the client; what is our own fault too (RFC 6749 §4.1.2.1)."""
        request.state.error = error
        response = self._redirect(error_response(self._server, target, error))
        self._edge.settle_browser_state(request, response, None)
        return response

    def _redirect(self, answer: AuthorizationResponse) -> Response:
        target = answer.target
        if target.response_mode == "form_post":
            return self._edge.pages.render(
                "form_post.html",
                scripts=True,
                leads_away=True,
                tells_origin=True,
                action=target.redirect_uri,
                fields=answer.parameters,
            )
        add = add_fragment if target.response_mode == "fragment" else add_parameters
        location = add(target.redirect_uri, answer.parameters)
        return RedirectResponse(location, status_code=303, headers=NO_STORE)

    def _open(self, sealed: str | None) -> Continuation:
        continuation = self._edge.continuations.open(sealed)
        if continuation is None:
            raise InvalidRequest("This link is incomplete or was changed on its way")
        return continuation


def _consent_form(browser: SignedInBrowser, sealed: str | None, wanted: Sequence[str]) -> str:
    """Return what a consent form is about: whom it was shown, for which request, and what."""
    return f"consent {browser.session.id} {sealed} {' '.join(wanted)}"
