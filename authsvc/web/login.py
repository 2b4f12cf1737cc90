"""The login page."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from authsvc.identity.login import SignedIn
from authsvc.metrics import LOGINS
from authsvc.oauth.authorization_request import Target, read_target
from authsvc.protocol.errors import (
    InvalidRequest,
    TemporarilyUnavailable,
    TooManyRequests,
)
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.redirect_uri import add_parameters
from authsvc.web.continuation import Continuation
from authsvc.web.errors import NO_STORE
from authsvc.web.people import PeopleEdge
from authsvc.web.requests import form_parameters, origin_of, query_parameters

_FORM = "login"
_WRONG = "The username or password is wrong."
_STALE = "Your browser did not keep our cookie, or this page was open for long. Please try again."


class LoginEndpoints:
    """``GET`` and ``POST /login``."""

    def __init__(self, edge: PeopleEdge) -> None:
        self._edge = edge

    async def show(self, request: Request) -> Response:
        """``GET /login``: the form, for whoever has to sign in."""
        sealed = query_parameters(request).get("continue")
        continuation, target = await self._read(sealed)
        if continuation is None:
            async with self._edge.server.resources.database.reading() as tx:
                if await self._edge.find_browser(tx, request) is not None:
                    return RedirectResponse(f"{self._edge.base_path}/", 303, headers=NO_STORE)
        hint = continuation.parameters.get("login_hint") if continuation else None
        return self._page(request, sealed, target, username=hint)

    async def sign_in(self, request: Request) -> Response:
        """``POST /login``: check the password, and go on to where the person was going."""
        form = await form_parameters(request)
        form.check_no_duplicates()
        sealed = form.get("continue")
        _, target = await self._read(sealed)
        username = form.get("username")
        if not self._edge.forms.check(request, form.get("csrf_token"), _FORM):
            return self._page(request, sealed, target, username=username, error=_STALE, status=400)
        try:
            signed_in = await self._authenticate(request, form)
        except (TooManyRequests, TemporarilyUnavailable) as error:
            request.state.error = error
            LOGINS.labels("delayed").inc()
            return self._page(
                request,
                sealed,
                target,
                username=username,
                error=f"{error.description}. Try again in {error.retry_after} seconds.",
                status=error.status_code,
                headers={"Retry-After": str(error.retry_after)},
            )
        if signed_in is None:
            LOGINS.labels("failed").inc()
            return self._page(request, sealed, target, username=username, error=_WRONG, status=400)
        LOGINS.labels("succeeded").inc()
        return self._go_on(sealed, signed_in)

    async def _authenticate(self, request: Request, form: Parameters) -> SignedIn | None:
        resources = self._edge.server.resources
        async with resources.database.reading() as tx:
            earlier = await self._edge.find_browser(tx, request)
        return await resources.login.sign_in(
            form.get("username") or "",
            form.get("password") or "",
            origin_of(request),
            user_agent=request.headers.get("user-agent", ""),
            device=self._edge.cookies.device(request),
            replaces=earlier.session.id if earlier else None,
        )

    def _go_on(self, sealed: str | None, signed_in: SignedIn) -> Response:
        base_path = self._edge.base_path
        location = (
            add_parameters(f"{base_path}/authorize/resume", [("continue", sealed)])
            if sealed
            else f"{base_path}/"
        )
        response = RedirectResponse(location, status_code=303, headers=NO_STORE)
        self._edge.cookies.set_session(response, signed_in.session_cookie)
        self._edge.cookies.set_device(response, signed_in.device_cookie)
        return response

    async def _read(self, sealed: str | None) -> tuple[Continuation | None, Target | None]:
        """Return where the person was going, and for which client; raises InvalidRequest."""
        if sealed is None:
            return None, None
        continuation = self._edge.continuations.open(sealed)
        if continuation is None:
            raise InvalidRequest("This link is incomplete or was changed on its way")
        return continuation, await read_target(self._edge.server, continuation.parameters)

    def _page(
        self,
        request: Request,
        sealed: str | None,
        target: Target | None,
        *,
        username: str | None,
        error: str | None = None,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        browser = self._edge.forms.browser_of(request)
        response = self._edge.pages.render(
            "login.html",
            status=status,
            form_action=[target.redirect_uri] if target else [],
            headers=headers,
            action=f"{self._edge.base_path}/login",
            csrf_token=self._edge.forms.make(browser, _FORM),
            continue_=sealed,
            client_name=target.client.name if target else None,
            username=username,
            error=error,
            notice=None,
        )
        self._edge.forms.keep(request, response, browser)
        return response
