"""Who is shut out while something is issued to them has nothing afterwards, whoever is first.

Two real transactions that meet half-way: one issues, on a session that somebody may have
stolen; the other ends all of the person. Whichever commits first, nothing is left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from authsvc.oauth import authorize as authorize_module
from authsvc.oauth import families as families_module
from authsvc.oauth.grants import authorization_code as grant_module
from authsvc.storage.database import Transaction
from authsvc.storage.sessions import Session, list_sessions
from tests.browser import Browser
from tests.conftest import Backend, BackendName, OpenProvider
from tests.provider import ORIGIN, Account, Provider, TestClient

MakeBackend = Callable[[BackendName], Backend]
NEW_PASSWORD = "another good password 1"


class Scene:
    """A person who is signed in, and an app that they allowed what it asks for."""

    def __init__(self, provider: Provider, client: TestClient, account: Account) -> None:
        self.provider, self.client, self.account = provider, client, account
        self.browser: Browser = provider.browser()
        self.new_hash = ""

    async def ask(self) -> httpx.Response:
        """Send the browser to the authorization endpoint."""
        parameters = self.provider.authorization_parameters(self.client)
        return await self.browser.http.get("/authorize", params=parameters)

    def code_in(self, response: httpx.Response) -> str:
        """Return the code that the client is answered, or an empty text."""
        location = response.headers.get("location", "")
        return self.provider.answer_in(location).get("code", "") if "code=" in location else ""

    async def until_somebody_waits(self, task: "asyncio.Future[Any]") -> None:
        """Return when a transaction waits for another, or ``task`` is done without."""
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(5):
            while not task.done():
                async with self.provider.resources.database.reading() as tx:
                    if (await tx.execute(waiting)).scalar_one():
                        return
                await asyncio.sleep(0.01)

    async def check_nothing_is_left(self, response: httpx.Response | None) -> None:
        """Check that what was issued, if anything, is worth nothing, and no session lives."""
        issued = response.json() if response is not None else {}
        if "access_token" in issued:
            token = issued["access_token"]
            assert (await self.provider.userinfo(token)).status_code == 401
            assert not (await self.provider.introspect(self.client, token))["active"]
            refreshed = await self.provider.refresh(self.client, issued["refresh_token"])
            assert refreshed.json()["error"] == "invalid_grant"
        assert await self.living_sessions() == []

    async def living_sessions(self) -> list[Session]:
        """Return the sessions of the person that did not end."""
        now = self.provider.clock.now()
        async with self.provider.resources.database.reading() as tx:
            return await list_sessions(tx, user_id=self.account.id, after=None, limit=9, now=now)


Issuing = asyncio.Future[httpx.Response]
End = Callable[[Scene, Transaction], Awaitable[Any]]


async def _reset_password(scene: Scene, tx: Transaction) -> None:
    people = scene.provider.resources.people
    await people.set_password(tx, scene.account.id, scene.new_hash, ORIGIN)


async def _disable(scene: Scene, tx: Transaction) -> None:
    await scene.provider.resources.people.disable(tx, scene.account.id, ORIGIN)


async def _revoke(scene: Scene, tx: Transaction) -> None:
    await scene.provider.resources.revoker.revoke_user(tx, scene.account.id)


ENDS: dict[str, End] = {
    "a password reset": _reset_password,
    "a person disabled": _disable,
    "a person revoked": _revoke,
}
with_each_end = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())


@pytest.fixture
def postgres_backend(make_backend: MakeBackend) -> Backend:
    """PostgreSQL, where transactions meet: SQLite lets one write at a time."""
    return make_backend("postgres")


@pytest.fixture
async def scene(postgres_backend: Backend, open_providers: OpenProvider) -> Scene:
    """The scene before anything is taken away."""
    provider = await open_providers(postgres_backend)
    scene = Scene(provider, await provider.create_client(), await provider.create_user())
    await provider.sign_in(scene.client, scene.account, scene.browser)
    scene.new_hash = await provider.resources.people.hash_new_password(NEW_PASSWORD, names=())
    return scene


def _hold(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, *, before: bool
) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the function stop before or after its work; return when it is there, and go on."""
    real, there, go_on = getattr(module, name), asyncio.Event(), asyncio.Event()

    async def held(*arguments: Any, **options: Any) -> Any:
        result = None if before else await real(*arguments, **options)
        there.set()
        await go_on.wait()
        return await real(*arguments, **options) if before else result

    monkeypatch.setattr(module, name, held)
    return there, go_on


async def _meet(
    scene: Scene, issuing: Issuing, end: End, there: asyncio.Event, go_on: asyncio.Event
) -> httpx.Response:
    """Let ``end`` begin while what issues is held; return the answer when both are done.

    Neither is the victim of the other: a deadlock would end one of them with 503.
    """

    async def commit() -> None:
        async with scene.provider.resources.database.transaction() as tx:
            await end(scene, tx)

    await there.wait()
    ending = asyncio.ensure_future(commit())
    await scene.until_somebody_waits(ending)
    go_on.set()
    await asyncio.gather(issuing, ending, return_exceptions=True)
    assert ending.exception() is None
    return issuing.result()


@with_each_end
async def test_a_code_that_is_asked_for_meanwhile_is_not_issued(scene: Scene, end: End) -> None:
    async with scene.provider.resources.database.transaction() as tx:
        await end(scene, tx)
        asking = asyncio.ensure_future(scene.ask())
        await scene.until_somebody_waits(asking)

    code = scene.code_in(await asking)

    await scene.check_nothing_is_left(
        await scene.provider.redeem(scene.client, code) if code else None
    )


@with_each_end
async def test_a_code_that_is_redeemed_meanwhile_gives_nothing(scene: Scene, end: End) -> None:
    code = scene.code_in(await scene.ask())
    assert code
    async with scene.provider.resources.database.transaction() as tx:
        await end(scene, tx)
        redeeming = asyncio.ensure_future(scene.provider.redeem(scene.client, code))
        await scene.until_somebody_waits(redeeming)

    response = await redeeming

    assert response.json()["error"] == "invalid_grant"
    await scene.check_nothing_is_left(response)


@with_each_end
async def test_a_whole_way_that_is_gone_meanwhile_leads_nowhere(scene: Scene, end: End) -> None:
    async def ask_and_redeem() -> httpx.Response | None:
        code = scene.code_in(await scene.ask())
        return await scene.provider.redeem(scene.client, code) if code else None

    async with scene.provider.resources.database.transaction() as tx:
        await end(scene, tx)
        going = asyncio.ensure_future(ask_and_redeem())
        await scene.until_somebody_waits(going)

    await scene.check_nothing_is_left(await going)


@with_each_end
async def test_a_code_that_is_about_to_be_issued_is_worth_nothing(
    scene: Scene, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, go_on = _hold(monkeypatch, authorize_module, "issue_response", before=True)
    asking = asyncio.ensure_future(scene.ask())
    response = await _meet(scene, asking, end, there, go_on)

    code = scene.code_in(response)

    assert code
    redeemed = await scene.provider.redeem(scene.client, code)
    assert redeemed.json()["error"] == "invalid_grant"
    await scene.check_nothing_is_left(redeemed)


@pytest.mark.parametrize(
    ("module", "step", "before"),
    [
        (grant_module, "_consume", False),
        (families_module, "issue_for_person", True),
        (families_module, "issue_for_person", False),
        (grant_module, "issue_for_code", False),
    ],
    ids=["code spent", "tokens not minted", "tokens minted", "family stored"],
)
@with_each_end
async def test_a_redemption_under_way_is_done_and_then_taken_back(
    scene: Scene,
    end: End,
    module: ModuleType,
    step: str,
    before: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = scene.code_in(await scene.ask())
    there, go_on = _hold(monkeypatch, module, step, before=before)
    redeeming = asyncio.ensure_future(scene.provider.redeem(scene.client, code))

    response = await _meet(scene, redeeming, end, there, go_on)

    assert response.status_code == 200, response.text
    await scene.check_nothing_is_left(response)


async def test_who_signs_out_while_a_code_is_redeemed_signs_out_and_ends_its_access_token(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = scene.code_in(await scene.ask())
    (session,) = await scene.living_sessions()
    there, go_on = _hold(monkeypatch, grant_module, "_consume", before=False)
    redeeming = asyncio.ensure_future(scene.provider.redeem(scene.client, code))

    async def sign_out(scene: Scene, tx: Transaction) -> None:
        await scene.provider.resources.revoker.revoke_session(tx, session.id)

    response = await _meet(scene, redeeming, sign_out, there, go_on)

    assert response.status_code == 200
    assert await scene.living_sessions() == []
    assert (await scene.provider.userinfo(response.json()["access_token"])).status_code == 401
