"""The page where a person connects a device by the code it shows (RFC 8628 §3.3).

The way of a code: typed into a form, or followed as a link that fills the form in; the
person signs in; only then is the code looked at; and then they are asked, always (§5.4).
"""

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from authsvc.oauth.authorize import SignedInBrowser
from authsvc.oauth.device_approval import (
    WaitingDevice,
    approve_device,
    deny_device,
    find_waiting_device,
    find_waiting_device_by_id,
)
from authsvc.protocol.errors import InvalidRequest, TooManyRequests
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.redirect_uri import add_parameters
from authsvc.protocol.user_code import (
    format_user_code,
    is_as_long_as_a_user_code,
    parse_user_code,
)
from authsvc.storage.database import Transaction
from authsvc.web.consent_terms import client_as_shown, terms_as_shown
from authsvc.web.continuation import DEVICE
from authsvc.web.csrf import STALE_FORM
from authsvc.web.errors import NO_STORE
from authsvc.web.people import PeopleEdge
from authsvc.web.requests import form_parameters, origin_of, query_parameters

_FORM = "device"
_NO_CODE = re.compile("[^A-Za-z0-9 -]")
_SHOWN = 12
_MALFORMED = "A code has eight letters, like BDFG-HJKL. Compare it with what the device shows."
_IMPOSSIBLE = "There is no such code. Compare it with what the device shows."
_UNKNOWN = "This code is wrong or has expired. Compare it with what the device shows."
_OVER = "This code has expired or was answered already. Start again on the device."


class DeviceEndpoints:
    """``/device``, and the ways back from the login page and from the question."""

    def __init__(self, edge: PeopleEdge) -> None:
        self._edge = edge
        self._server = edge.server

    async def show(self, request: Request) -> Response:
        """``GET /device``: the form, filled in where the link had the code (§3.3.1)."""
        linked = query_parameters(request).get("user_code") or ""
        return self._form(request, linked if parse_user_code(linked) else None)

    async def enter(self, request: Request) -> Response:
        """``POST /device``: the code as it was typed."""
        form = await form_parameters(request)
        form.check_no_duplicates()
        typed = form.get("user_code")
        if not self._edge.forms.check(request, form.get("csrf_token"), _FORM):
            return self._form(request, typed, error=STALE_FORM)
        return await self._proceed(request, typed)

    async def resume(self, request: Request) -> Response:
        """``GET /device/resume``: go on after signing in."""
        sealed = query_parameters(request).get("continue")
        continuation = self._edge.continuations.open(sealed, leads_to=DEVICE)
        if continuation is None:
            raise InvalidRequest("This link is incomplete or was changed on its way")
        typed = continuation.parameters.get("user_code")
        if continuation.asked_at_in(self._edge.cookies.browser(request)) is None:
            # A link from another browser: whoever made it must not spend attempts of ours.
            return self._form(request, typed)
        return await self._proceed(request, typed)

    async def confirm(self, request: Request) -> Response:
        """``POST /device/confirm``: the person's answer."""
        form = await form_parameters(request)
        form.check_no_duplicates()
        async with self._server.resources.database.transaction() as tx:
            browser = await self._edge.find_browser(tx, request)
            device = None
            if browser is not None:
                device = await find_waiting_device_by_id(
                    self._server, tx, browser.session, form.get("device") or ""
                )
            if browser is None or device is None:
                return self._form(request, None, error=_OVER if browser else STALE_FORM)
            about = _confirm_form(browser, device)
            is_ours = self._edge.forms.check(request, form.get("csrf_token"), about)
            if not is_ours or form.get("decision") not in ("approve", "deny"):
                return self._form(request, None, error=STALE_FORM)
            approved = await self._answer(tx, request, form, browser, device)
        if approved is None:
            return self._form(request, None, error=_OVER)
        return self._edge.pages.render(
            "device_done.html", approved=approved, client_name=device.client.name
        )

    async def _answer(
        self,
        tx: Transaction,
        request: Request,
        form: Parameters,
        browser: SignedInBrowser,
        device: WaitingDevice,
    ) -> bool | None:
        """Return whether the device may; None when it did not wait for this answer any more."""
        approved = form.get("decision") == "approve"
        act = approve_device if approved else deny_device
        origin = origin_of(request, f"user:{browser.session.user_id}")
        answered = await act(self._server, tx, browser.session, device, origin)
        return approved if answered else None

    async def _proceed(self, request: Request, typed: str | None) -> Response:
        user_code = parse_user_code(typed or "")
        if user_code is None:
            right_length = is_as_long_as_a_user_code(typed or "")
            return self._form(request, typed, error=_IMPOSSIBLE if right_length else _MALFORMED)
        async with self._server.resources.database.reading() as tx:
            browser = await self._edge.find_browser(tx, request)
        if browser is None:
            return self._to_login(request, user_code)
        origin = origin_of(request, f"user:{browser.session.user_id}")
        try:
            device = await find_waiting_device(self._server, browser.session, user_code, origin)
        except TooManyRequests as error:
            request.state.error = error
            return self._form(request, typed, refused=error)
        if device is None:
            return self._form(request, typed, error=_UNKNOWN)
        return self._question(request, user_code, browser, device)

    def _seal(self, user_code: str, browser: str) -> str:
        now = self._server.resources.clock.now()
        parameters = Parameters([("user_code", user_code)])
        sealed = self._edge.continuations.seal(parameters, now, browser, leads_to=DEVICE)
        return add_parameters(f"{self._edge.base_path}/login", [("continue", sealed)])

    def _to_login(self, request: Request, user_code: str) -> Response:
        browser = self._edge.forms.browser_of(request)
        location = self._seal(user_code, browser)
        response = RedirectResponse(location, status_code=303, headers=NO_STORE)
        self._edge.forms.keep(request, response, browser)
        return response

    def _form(
        self,
        request: Request,
        typed: str | None,
        *,
        error: str | None = None,
        refused: TooManyRequests | None = None,
    ) -> Response:
        browser = self._edge.forms.browser_of(request)
        status, headers = 400 if error else 200, None
        if refused is not None:
            error = f"{refused.description}. Try again in {refused.retry_after} seconds."
            status, headers = refused.status_code, {"Retry-After": str(refused.retry_after)}
        response = self._edge.pages.render(
            "device.html",
            status=status,
            headers=headers,
            action=f"{self._edge.base_path}/device",
            csrf_token=self._edge.forms.make(browser, _FORM),
            user_code=_as_shown(typed),
            error=error,
        )
        self._edge.forms.keep(request, response, browser)
        return response

    def _question(
        self, request: Request, user_code: str, browser: SignedInBrowser, device: WaitingDevice
    ) -> Response:
        value = self._edge.forms.browser_of(request)
        response = self._edge.pages.render(
            "device_confirm.html",
            action=f"{self._edge.base_path}/device/confirm",
            csrf_token=self._edge.forms.make(value, _confirm_form(browser, device)),
            device=device.code.id,
            user_code=format_user_code(user_code),
            username=browser.username,
            client=client_as_shown(device.client),
            scopes=terms_as_shown(device.wanted),
            switch_url=self._seal(user_code, value),
        )
        self._edge.forms.keep(request, response, value)
        return response


def _as_shown(typed: str | None) -> str:
    """Return what was typed, as a code where it is one; words of others have no room."""
    user_code = parse_user_code(typed or "")
    return format_user_code(user_code) if user_code else _NO_CODE.sub("", typed or "")[:_SHOWN]


def _confirm_form(browser: SignedInBrowser, device: WaitingDevice) -> str:
    """Return what the question is about: whom it was shown, for which device, and what."""
    return f"device {browser.session.id} {device.code.id} {' '.join(device.wanted)}"
