"""The login page."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from authsvc.identity.login import ReplacedSession, SignedIn
from authsvc.metrics import LOGINS
from authsvc.oauth.authorization_request import Target, read_target
from authsvc.protocol.errors import (
    InvalidRequest,
    TemporarilyUnavailable,
    TooManyRequests,
)
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.redirect_uri import add_parameters
from authsvc.web.continuation import AUTHORIZATION, DEVICE, Continuation
from authsvc.web.csrf import STALE_FORM
from authsvc.web.errors import NO_STORE
from authsvc.web.people import PeopleEdge
from authsvc.web.requests import form_parameters, origin_of, query_parameters

_FORM = "login"
_WRONG = "The username or password is wrong."
_FOR_A_DEVICE = "Sign in to connect your device."


@dataclass(frozen=True, slots=True)
class _Destination:
    """Where the person was going, sealed and read; nowhere without a continuation."""

    sealed: str | None = None
    continuation: Continuation | None = None
    target: Target | None = None

    @property
    def notice(self) -> str | None:
        """What the page says about it, where no client can be named."""
        is_device = self.continuation is not None and self.continuation.leads_to == DEVICE
        return _FOR_A_DEVICE if is_device else None


class LoginEndpoints:
    """``GET`` and ``POST /login``."""

    def __init__(self, edge: PeopleEdge) -> None:
        self._edge = edge

    async def show(self, request: Request) -> Response:
        """``GET /login``: the form, for whoever has to sign in."""
        going = await self._read(query_parameters(request).get("continue"))
        if going.continuation is None:
            async with self._edge.server.resources.database.reading() as tx:
                if await self._edge.find_browser(tx, request) is not None:
                    return RedirectResponse(f"{self._edge.base_path}/", 303, headers=NO_STORE)
        hint = going.continuation.parameters.get("login_hint") if going.continuation else None
        return self._page(request, going, username=hint)

    async def sign_in(self, request: Request) -> Response:
        """``POST /login``: check the password, and go on to where the person was going."""
        form = await form_parameters(request)
        form.check_no_duplicates()
        going = await self._read(form.get("continue"))
        username = form.get("username")
        if not self._edge.forms.check(request, form.get("csrf_token"), _FORM):
            return self._page(request, going, username=username, error=STALE_FORM, status=400)
        try:
            signed_in = await self._authenticate(request, form)
        except (TooManyRequests, TemporarilyUnavailable) as error:
            request.state.error = error
            is_delayed = isinstance(error, TooManyRequests)
            LOGINS.labels("delayed" if is_delayed else "unavailable").inc()
            return self._page(
                request,
                going,
                username=username,
                error=f"{error.description}. Try again in {error.retry_after} seconds.",
                status=error.status_code,
                headers={"Retry-After": str(error.retry_after)},
            )
        if signed_in is None:
            LOGINS.labels("failed").inc()
            return self._page(request, going, username=username, error=_WRONG, status=400)
        LOGINS.labels("succeeded").inc()
        return self._go_on(going, signed_in)

    async def _authenticate(self, request: Request, form: Parameters) -> SignedIn | None:
        resources = self._edge.server.resources
        async with resources.database.reading() as tx:
            earlier = await self._edge.find_browser(tx, request)
        cookie, replaces = self._edge.cookies.session(request), None
        if earlier is not None and cookie is not None:
            replaces = ReplacedSession(earlier.session.id, earlier.session.user_id, cookie)
        return await resources.login.sign_in(
            form.get("username") or "",
            form.get("password") or "",
            origin_of(request),
            user_agent=request.headers.get("user-agent", ""),
            device=self._edge.cookies.device(request),
            replaces=replaces,
        )

    def _go_on(self, going: _Destination, signed_in: SignedIn) -> Response:
        location = f"{self._edge.base_path}/"
        if going.continuation is not None and going.sealed is not None:
            page = f"{self._edge.base_path}{going.continuation.leads_to}"
            location = add_parameters(page, [("continue", going.sealed)])
        response = RedirectResponse(location, status_code=303, headers=NO_STORE)
        self._edge.cookies.set_session(response, signed_in.session_cookie)
        self._edge.set_browser_state(response, signed_in.session.id)
        self._edge.cookies.set_device(response, signed_in.device_cookie)
        return response

    async def _read(self, sealed: str | None) -> _Destination:
        """Return where the person was going, and for which client; raises InvalidRequest."""
        if sealed is None:
            return _Destination()
        continuation = self._edge.continuations.open(sealed, leads_to=None)
        if continuation is None:
            raise InvalidRequest("This link is incomplete or was changed on its way")
        target = None
        if continuation.leads_to == AUTHORIZATION:
            target = await read_target(self._edge.server, continuation.parameters)
        return _Destination(sealed, continuation, target)

    def _page(
        self,
        request: Request,
        going: _Destination,
        *,
        username: str | None,
        error: str | None = None,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        browser, target = self._edge.forms.browser_of(request), going.target
        response = self._edge.pages.render(
            "login.html",
            status=status,
            leads_away=target is not None,
            headers=headers,
            action=f"{self._edge.base_path}/login",
            csrf_token=self._edge.forms.make(browser, _FORM),
            continue_=going.sealed,
            client_name=target.client.name if target else None,
            username=username,
            error=error,
            notice=going.notice,
            forgot_url=self._edge.forgot_url,
        )
        self._edge.forms.keep(request, response, browser)
        return response
