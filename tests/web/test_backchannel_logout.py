"""Back-Channel Logout 1.0: each client of a session hears that it ended, whatever ended it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import RSAKey
from sqlalchemy import func, select

from authsvc.jobs import scheduler
from authsvc.jobs.deliver_outbox import deliver_outbox
from authsvc.jobs.end_expired_sessions import end_expired_sessions
from authsvc.storage.schema import outbox, session_clients
from tests.answers import log_in
from tests.browser import Browser
from tests.conftest import Backend, OpenProvider
from tests.notice_receiver import NoticeReceiver, open_notice_receiver, read_logout_token
from tests.provider import ORIGIN, Account, Provider, TestClient, claims_of, header_of


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing run but what a test runs."""
    monkeypatch.setattr(scheduler, "SCHEDULE", ())


@pytest.fixture
async def receiver() -> AsyncIterator[NoticeReceiver]:
    """The endpoint of a client."""
    async with open_notice_receiver() as running:
        yield running


@pytest.fixture
async def sqlite_teller(
    by_hand: None, sqlite_backend: Backend, open_providers: OpenProvider
) -> Provider:
    """A provider that reaches loopback, on the embedded defaults."""
    running: Provider = await open_providers(sqlite_backend, outbound_loopback=True)
    return running


@pytest.fixture
async def teller(by_hand: None, backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that reaches loopback, on each backend in turn."""
    running: Provider = await open_providers(backend, outbound_loopback=True)
    return running


@dataclass
class Visit:
    """A person who is signed in to a client that wants to hear of logouts."""

    provider: Provider
    client: TestClient
    account: Account
    browser: Browser
    tokens: dict[str, Any]

    @property
    def session_id(self) -> str:
        """The session as the client knows it."""
        return str(claims_of(self.tokens["id_token"])["sid"])


async def visit(provider: Provider, receiver: NoticeReceiver, **metadata: Any) -> Visit:
    """Sign a new person in to a new client."""
    client = await provider.create_client(backchannel_logout_uri=receiver.uri, **metadata)
    account, browser = await provider.create_user(), provider.browser()
    tokens = await provider.sign_in(client, account, browser)
    return Visit(provider, client, account, browser, tokens)


async def log_out(visit: Visit) -> None:
    await visit.browser.get("/logout", {"id_token_hint": visit.tokens["id_token"]})


async def confirm_logout(visit: Visit) -> None:
    await visit.browser.submit(await visit.browser.get("/logout"), {}, button="#logout-confirm")


async def _people(visit: Visit, change: str, *arguments: Any) -> None:
    people = visit.provider.resources.people
    async with visit.provider.resources.database.transaction() as tx:
        await getattr(people, change)(tx, visit.account.id, *arguments, ORIGIN)


async def disable(visit: Visit) -> None:
    await _people(visit, "disable")


async def delete(visit: Visit) -> None:
    await _people(visit, "delete")


async def revoke_sessions(visit: Visit) -> None:
    await _people(visit, "revoke_sessions")


async def set_password(visit: Visit) -> None:
    people = visit.provider.resources.people
    made = await people.hash_new_password("another good password", names=())
    await _people(visit, "set_password", made)


async def revoke_session(visit: Visit) -> None:
    async with visit.provider.resources.database.transaction() as tx:
        await visit.provider.resources.revoker.revoke_session(tx, visit.session_id)


async def idle(visit: Visit) -> None:
    visit.provider.clock.move(hours=8)
    await end_expired_sessions(visit.provider.server)


async def sign_in_as_another(visit: Visit) -> None:
    other = await visit.provider.create_user()
    parameters = visit.provider.authorization_parameters(visit.client, prompt="login")
    await log_in(visit.browser, await visit.browser.get("/authorize", parameters), other)


WAYS = [log_out, confirm_logout, disable, delete, revoke_sessions, set_password, revoke_session]
WAYS += [idle, sign_in_as_another]


async def count(provider: Provider, table: Any) -> int:
    async with provider.resources.database.reading() as tx:
        return int((await tx.execute(select(func.count()).select_from(table))).scalar_one())


@pytest.mark.parametrize("end", WAYS)
async def test_whatever_ends_a_session_its_client_is_told_once(
    sqlite_teller: Provider, receiver: NoticeReceiver, end: Callable[[Visit], Awaitable[None]]
) -> None:
    visited = await visit(sqlite_teller, receiver)

    await end(visited)
    await deliver_outbox(sqlite_teller.server)

    claims = await receiver.take_claims(sqlite_teller, visited.client.client_id)
    assert (claims["sub"], claims["sid"]) == (visited.account.id, visited.session_id)
    assert claims.keys() == {"iss", "sub", "aud", "iat", "exp", "jti", "events", "sid"}
    await end_expired_sessions(sqlite_teller.server)
    await deliver_outbox(sqlite_teller.server)
    assert receiver.received.empty()
    assert await count(sqlite_teller, outbox) == 0


async def test_a_session_that_is_used_ends_at_last_and_its_client_is_told(
    teller: Provider, receiver: NoticeReceiver
) -> None:
    visited = await visit(teller, receiver)
    for _ in range(3):
        teller.clock.move(hours=6)
        await teller.authorize(visited.browser, visited.client, visited.account, prompt="none")
        await end_expired_sessions(teller.server)
    await deliver_outbox(teller.server)
    assert receiver.received.empty()

    teller.clock.move(hours=6)
    await end_expired_sessions(teller.server)
    await deliver_outbox(teller.server)

    claims = await receiver.take_claims(teller, visited.client.client_id)
    assert claims["sid"] == visited.session_id


async def test_all_clients_of_the_session_are_told_and_nobody_else(
    teller: Provider, receiver: NoticeReceiver
) -> None:
    visited = await visit(teller, receiver)
    second = await teller.create_client(backchannel_logout_uri=receiver.uri)
    await teller.sign_in(second, visited.account, visited.browser)
    await teller.sign_in(second, visited.account, visited.browser)
    silent = await teller.create_client()
    await teller.sign_in(silent, visited.account, visited.browser)
    elsewhere = await teller.create_client(backchannel_logout_uri=receiver.uri)
    await teller.sign_in(elsewhere, visited.account)
    assert await count(teller, session_clients) == 3

    await log_out(visited)
    await deliver_outbox(teller.server)

    told = [claims_of(receiver.received.get_nowait()) for _ in range(2)]
    assert receiver.received.empty()
    assert {claims["aud"] for claims in told} == {visited.client.client_id, second.client_id}
    assert {claims["sid"] for claims in told} == {visited.session_id}
    assert len({claims["jti"] for claims in told}) == 2


async def test_who_signs_in_again_keeps_the_session_and_nobody_is_told(
    sqlite_teller: Provider, receiver: NoticeReceiver
) -> None:
    visited = await visit(sqlite_teller, receiver)
    sqlite_teller.clock.move(minutes=5)

    again = await sqlite_teller.sign_in(
        visited.client, visited.account, visited.browser, prompt="login"
    )
    await deliver_outbox(sqlite_teller.server)

    before, after = claims_of(visited.tokens["id_token"]), claims_of(again["id_token"])
    assert after["sid"] == before["sid"]
    assert after["auth_time"] >= before["auth_time"] + 300
    assert receiver.received.empty()


async def test_the_token_is_signed_and_addressed_as_the_client_registered(
    sqlite_teller: Provider, receiver: NoticeReceiver
) -> None:
    visited = await visit(
        sqlite_teller, receiver, id_token_signed_response_alg="ES256", subject_type="pairwise"
    )

    await log_out(visited)
    await deliver_outbox(sqlite_teller.server)

    token = receiver.take()
    claims = await read_logout_token(sqlite_teller, token, visited.client.client_id)
    assert header_of(token)["alg"] == "ES256"
    assert claims["sub"] == claims_of(visited.tokens["id_token"])["sub"] != visited.account.id


async def test_the_token_is_encrypted_where_id_tokens_are(
    sqlite_teller: Provider, receiver: NoticeReceiver
) -> None:
    key = RSAKey.generate_key(2048, {"use": "enc", "alg": "RSA-OAEP-256"}, auto_kid=True)
    client = await sqlite_teller.create_client(
        backchannel_logout_uri=receiver.uri,
        id_token_encrypted_response_alg="RSA-OAEP-256",
        jwks={"keys": [key.as_dict(private=False)]},
    )
    account, browser = await sqlite_teller.create_user(), sqlite_teller.browser()
    await sqlite_teller.sign_in(client, account, browser)

    await browser.submit(await browser.get("/logout"), {}, button="#logout-confirm")
    await deliver_outbox(sqlite_teller.server)

    encrypted = receiver.take()
    assert header_of(encrypted)["cty"].upper() == "JWT"
    decrypted = jwe.decrypt_compact(
        encrypted, key, algorithms=["RSA-OAEP-256", header_of(encrypted)["enc"]]
    )
    assert decrypted.plaintext is not None
    token = decrypted.plaintext.decode()
    assert (await read_logout_token(sqlite_teller, token, client.client_id))["sub"] == account.id


async def test_a_client_that_wants_no_notices_costs_no_row(
    sqlite_teller: Provider,
) -> None:
    client, account = await sqlite_teller.create_client(), await sqlite_teller.create_user()
    await sqlite_teller.sign_in(client, account)

    await _people(Visit(sqlite_teller, client, account, sqlite_teller.browser(), {}), "disable")

    assert await count(sqlite_teller, session_clients) == 0
    assert await count(sqlite_teller, outbox) == 0


@pytest.mark.parametrize("status", [400, 302, 500, 501])
async def test_a_client_that_could_not_is_told_again_with_a_token_that_is_no_replay(
    sqlite_teller: Provider, receiver: NoticeReceiver, status: int
) -> None:
    visited = await visit(sqlite_teller, receiver)
    receiver.status = status
    await log_out(visited)
    await deliver_outbox(sqlite_teller.server)
    first = await receiver.take_claims(sqlite_teller, visited.client.client_id)
    await deliver_outbox(sqlite_teller.server)
    assert receiver.received.empty()

    receiver.status = 204
    sqlite_teller.clock.move(minutes=3)
    await deliver_outbox(sqlite_teller.server)

    again = await receiver.take_claims(sqlite_teller, visited.client.client_id)
    # It may have noted the first jti before it failed (§2.6).
    assert again["jti"] != first["jti"]
    assert (again["sub"], again["sid"]) == (first["sub"], first["sid"])
    assert again["iat"] >= first["iat"] + 180
    assert await count(sqlite_teller, outbox) == 0


async def test_a_client_that_is_gone_or_wants_no_notices_any_more_is_not_told(
    sqlite_teller: Provider, receiver: NoticeReceiver
) -> None:
    gone, changed = await visit(sqlite_teller, receiver), await visit(sqlite_teller, receiver)
    await log_out(gone)
    await log_out(changed)
    administration = sqlite_teller.server.client_administration
    change = await administration.check_change(
        changed.client.client_id, {"backchannel_logout_uri": None}
    )
    async with sqlite_teller.resources.database.transaction() as tx:
        await administration.delete(tx, gone.client.client_id, ORIGIN)
        await administration.update(tx, changed.client.client_id, change, ORIGIN)

    await deliver_outbox(sqlite_teller.server)

    assert receiver.received.empty()
    assert await count(sqlite_teller, outbox) == 0


async def test_a_serving_process_tells_clients_by_itself_and_soon(
    backend: Backend, open_providers: OpenProvider, receiver: NoticeReceiver
) -> None:
    provider = await open_providers(backend, outbound_loopback=True)
    visited = await visit(provider, receiver)

    await log_out(visited)

    async with asyncio.timeout(10):
        token = await receiver.received.get()
    claims = await read_logout_token(provider, token, visited.client.client_id)
    assert claims["sid"] == visited.session_id


@pytest.mark.usefixtures("by_hand")
async def test_two_replicas_at_once_tell_each_client_once(
    backend: Backend, open_providers: OpenProvider, receiver: NoticeReceiver
) -> None:
    replicas = [await open_providers(backend, outbound_loopback=True) for _ in range(2)]
    visits = [await visit(replicas[0], receiver) for _ in range(3)]
    for replica in replicas:
        replica.clock.move(hours=8)

    await asyncio.gather(*(end_expired_sessions(replica.server) for replica in replicas))
    await asyncio.gather(*(deliver_outbox(replica.server) for replica in replicas))

    told = [claims_of(receiver.received.get_nowait())["sid"] for _ in visits]
    assert sorted(told) == sorted(visited.session_id for visited in visits)
    assert receiver.received.empty()
