"""The pages for a forgotten password: who asks for a link, and who follows it.

A link is a page with a form: it uses nothing up by being opened, since mail scanners open what
they find. Its token is in the query, because a fragment can not be read without a script; so
these pages send no Referer, and load nothing from elsewhere.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from authsvc.protocol.errors import (
    InvalidRequest,
    OAuthError,
    TemporarilyUnavailable,
    TooManyRequests,
)
from authsvc.web.csrf import STALE_FORM
from authsvc.web.people import PeopleEdge
from authsvc.web.requests import form_parameters, origin_of, query_parameters

FORGOT_PATH: Final = "/password/forgot"
RESET_PATH: Final = "/password/reset"
_FORGOT_FORM: Final = "forgotten password"
_RESET_FORM: Final = "another password"
_EMPTY: Final = "Enter your username or mail address."
_DIFFERENT: Final = "The two passwords differ. Enter the new one twice."


class PasswordResetEndpoints:
    """``/password/forgot`` and ``/password/reset``."""

    def __init__(self, edge: PeopleEdge) -> None:
        self._edge = edge
        self._resets = edge.server.resources.password_resets

    async def show_forgot(self, request: Request) -> Response:
        """``GET /password/forgot``: the form."""
        return self._forgot(request)

    async def ask(self, request: Request) -> Response:
        """``POST /password/forgot``: one answer, whoever was named."""
        form = await form_parameters(request)
        form.check_no_duplicates()
        login = (form.get("username") or "").strip()
        if not self._edge.forms.check(request, form.get("csrf_token"), _FORGOT_FORM):
            return self._forgot(request, login, error=STALE_FORM)
        if not login:
            return self._forgot(request, error=_EMPTY)
        try:
            await self._resets.ask(login, origin_of(request))
        except TooManyRequests as error:
            request.state.error = error
            return self._forgot(request, login, refused=error)
        return self._edge.pages.render("password_asked.html")

    async def show_reset(self, request: Request) -> Response:
        """``GET /password/reset``: the form for a new password, while the link is good."""
        token = query_parameters(request).get("token") or ""
        if not await self._resets.is_good(token):
            return self._over()
        return self._reset(request, token)

    async def reset(self, request: Request) -> Response:
        """``POST /password/reset``: set the password."""
        form = await form_parameters(request)
        form.check_no_duplicates()
        token, password = form.get("token") or "", form.get("password") or ""
        if not self._edge.forms.check(request, form.get("csrf_token"), _RESET_FORM):
            return self._reset(request, token, error=STALE_FORM)
        if password != (form.get("password_again") or ""):
            return self._reset(request, token, error=_DIFFERENT)
        try:
            done = await self._resets.reset(token, password, origin_of(request))
        except InvalidRequest as error:
            return self._reset(request, token, error=f"{error.description}.")
        except TemporarilyUnavailable as error:
            request.state.error = error
            return self._reset(request, token, refused=error)
        if not done:
            return self._over()
        login_url = f"{self._edge.base_path}/login"
        return self._edge.pages.render(
            "password_changed.html", holds_secret=True, login_url=login_url
        )

    def _forgot(
        self,
        request: Request,
        login: str | None = None,
        *,
        error: str | None = None,
        refused: OAuthError | None = None,
    ) -> Response:
        browser = self._edge.forms.browser_of(request)
        status, headers, told = _refusal(refused, error)
        response = self._edge.pages.render(
            "password_forgot.html",
            status=status,
            headers=headers,
            action=f"{self._edge.base_path}{FORGOT_PATH}",
            csrf_token=self._edge.forms.make(browser, _FORGOT_FORM),
            username=login,
            error=told,
        )
        self._edge.forms.keep(request, response, browser)
        return response

    def _reset(
        self,
        request: Request,
        token: str,
        *,
        error: str | None = None,
        refused: OAuthError | None = None,
    ) -> Response:
        browser = self._edge.forms.browser_of(request)
        status, headers, told = _refusal(refused, error)
        response = self._edge.pages.render(
            "password_reset.html",
            status=status,
            holds_secret=True,
            headers=headers,
            action=f"{self._edge.base_path}{RESET_PATH}",
            csrf_token=self._edge.forms.make(browser, _RESET_FORM),
            token=token,
            error=told,
        )
        self._edge.forms.keep(request, response, browser)
        return response

    def _over(self) -> Response:
        return self._edge.pages.render(
            "password_link_over.html",
            status=400,
            holds_secret=True,
            forgot_url=f"{self._edge.base_path}{FORGOT_PATH}",
        )


def _refusal(
    refused: OAuthError | None, error: str | None
) -> tuple[int, dict[str, str] | None, str | None]:
    """Return the status, the headers and the words of a form that was not taken."""
    if refused is None:
        return 400 if error else 200, None, error
    told = f"Too many requests right now. Try again in {refused.retry_after} seconds."
    return refused.status_code, {"Retry-After": str(refused.retry_after)}, told
