"""Who takes the same rows takes them in one order: else PostgreSQL ends one of the two."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from authsvc.oauth import authorize, device_approval
from authsvc.oauth.capabilities import DEVICE_CODE
from authsvc.oauth.consent import record_consent
from authsvc.storage import revocations
from authsvc.storage.revocations import Revocation
from authsvc.storage.sessions import hold_session
from tests import devices
from tests.browser import Browser, Page
from tests.conftest import Backend, BackendName, OpenProvider
from tests.provider import ORIGIN, Provider

Step = Callable[..., Awaitable[Any]]


class Meeting:
    """Lets two reach the midst of their work together, if nothing keeps them apart.

    Who comes alone goes on after half a second: the other waits in the database.
    """

    def __init__(self) -> None:
        self.here: dict[str, asyncio.Event] = {"one": asyncio.Event(), "other": asyncio.Event()}

    async def meet(self, who: str) -> None:
        self.here[who].set()
        (awaited,) = self.here.keys() - {who}
        try:
            async with asyncio.timeout(0.5):
                await self.here[awaited].wait()
        except TimeoutError:
            return

    def after(self, step: Step, who: str) -> Step:
        """Return the step, followed by the meeting."""

        async def stepped(*arguments: Any, **options: Any) -> Any:
            result = await step(*arguments, **options)
            await self.meet(who)
            return result

        return stepped


@pytest.fixture
async def provider(
    make_backend: Callable[[BackendName], Backend], open_providers: OpenProvider
) -> Provider:
    """On PostgreSQL: SQLite has one writer."""
    running: Provider = await open_providers(make_backend("postgres"))
    return running


async def press(browser: Browser, page: Page, button: str) -> httpx.Response:
    form = next(form for form in page.forms if button in form.buttons)
    name, value = form.buttons[button]
    return await browser.http.post(form.action, data={**form.fields, name: value})


async def test_a_consent_and_the_approval_of_a_device_at_once_both_count(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    grants = ["authorization_code", "refresh_token", DEVICE_CODE]
    client = await provider.create_client(client_name="Both", grant_types=grants)
    account, browser = await provider.create_user(), provider.browser()
    codes = await devices.start(provider, client)
    device = await devices.enter(browser, codes["user_code"], account)
    parameters = provider.authorization_parameters(client, scope="openid email")
    consent = await browser.get("/authorize", parameters)
    provider.clock.move(minutes=2)  # long enough for both to note that the session is used
    meeting = Meeting()
    monkeypatch.setattr(authorize, "record_consent", meeting.after(record_consent, "one"))
    monkeypatch.setattr(device_approval, "hold_session", meeting.after(hold_session, "other"))

    answers = await asyncio.gather(
        press(browser, consent, "#consent-approve"), press(browser, device, "#device-approve")
    )

    assert all(event.is_set() for event in meeting.here.values())
    assert [answer.status_code for answer in answers] == [303, 200]
    assert "code" in provider.answer_in(answers[0].headers["location"])
    assert (await devices.poll(provider, client, codes)).status_code == 200


async def test_a_consent_while_its_person_is_deleted_comes_before_or_not_at_all(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await provider.create_client()
    account, browser = await provider.create_user(), provider.browser()
    await provider.sign_in(client, account, browser)
    parameters = provider.authorization_parameters(client, scope="openid email")
    consent = await browser.get("/authorize", parameters)
    provider.clock.move(minutes=2)
    meeting = Meeting()
    monkeypatch.setattr(authorize, "record_consent", meeting.after(record_consent, "one"))

    async def delete() -> None:
        await meeting.here["one"].wait()
        meeting.here["other"].set()
        async with provider.resources.database.transaction() as tx:
            await provider.resources.people.delete(tx, account.id, ORIGIN)

    async with asyncio.timeout(10):
        _, answer = await asyncio.gather(delete(), press(browser, consent, "#consent-approve"))

    assert answer.status_code == 303
    code = provider.answer_in(answer.headers["location"])["code"]
    assert (await provider.redeem(client, code)).json()["error"] == "invalid_grant"


async def test_two_that_revoke_the_same_in_another_order_both_succeed(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = provider.clock.now()
    entries = [
        Revocation("family", name, now, now + timedelta(hours=1)) for name in ("first", "second")
    ]
    meeting = Meeting()
    # One row to a statement, so that there is a midst in which the two can meet.
    monkeypatch.setattr(revocations, "_BATCH", 1)

    async def add(who: str, ordered: list[Revocation]) -> None:
        async with provider.resources.database.transaction() as tx:
            execute, statements = tx.execute, 0

            async def counting(*arguments: Any) -> Any:
                nonlocal statements
                result = await execute(*arguments)
                statements += 1
                if statements == 1:
                    await meeting.meet(who)
                return result

            monkeypatch.setattr(tx, "execute", counting)
            await provider.resources.revocations.add(tx, ordered)

    await asyncio.gather(add("one", entries), add("other", entries[::-1]))

    identities: list[tuple[revocations.Kind, str]] = [("family", "first"), ("family", "second")]
    for identity in identities:
        assert await provider.resources.revocations.is_revoked([identity], now)
