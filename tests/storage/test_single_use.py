"""What counts once counts once, and a limit is never passed: one statement each."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from authsvc.storage.authorization_codes import (
    AuthorizationCode,
    consume_authorization_code,
    save_authorization_code,
)
from authsvc.storage.client_assertions import consume_client_assertion
from authsvc.storage.login_attempts import count_attempt
from authsvc.storage.password_resets import (
    PasswordReset,
    add_password_reset,
    spend_password_reset,
)
from authsvc.storage.revocations import Revocation
from authsvc.storage.schema import login_attempts, revocations
from tests.conftest import Backend, OpenProvider
from tests.provider import REDIRECT_URI, Provider

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(hours=1)


async def test_an_assertion_is_spent_once(provider: Provider) -> None:
    database = provider.resources.database

    async def spend() -> bool:
        async with database.transaction() as tx:
            return await consume_client_assertion(tx, bytes(32), expires_at=LATER)

    outcomes = await asyncio.gather(*(spend() for _ in range(20)))

    assert sorted(outcomes) == [False] * 19 + [True]


async def test_a_link_for_a_forgotten_password_is_spent_once_and_before_it_expires(
    provider: Provider,
) -> None:
    database = provider.resources.database
    reset = PasswordReset("0198c0de-0000-7000-8000-000000000001", bytes(32))
    async with database.transaction() as tx:
        for number in (1, 2):
            await add_password_reset(tx, bytes([number]) * 32, reset, now=NOW, expires_at=LATER)

    async def spend(token_hash: bytes, now: datetime) -> bool:
        async with database.transaction() as tx:
            spent = await spend_password_reset(tx, token_hash, now=now)
            assert spent in (None, reset)
            return spent is not None

    outcomes = await asyncio.gather(*(spend(b"\1" * 32, NOW) for _ in range(20)))

    assert sorted(outcomes) == [False] * 19 + [True]
    assert not await spend(b"\2" * 32, LATER)
    assert await spend(b"\2" * 32, LATER - timedelta(seconds=1))


async def test_a_code_is_consumed_once_by_its_client_and_before_it_expires(
    provider: Provider,
) -> None:
    client, other = await provider.create_client(), await provider.create_client()
    account = await provider.create_user()
    database = provider.resources.database
    async with database.transaction() as tx:
        session, _ = await provider.resources.sessions.begin(
            tx, account.id, amr=["pwd"], address="", user_agent=""
        )
        code = AuthorizationCode(
            id="0198c0de-0000-7000-8000-000000000001",
            client_id=client.client_id,
            user_id=account.id,
            session_id=session.id,
            redirect_uri=REDIRECT_URI,
            redirect_uri_sent=True,
            scope="openid",
            resources=(),
            nonce=None,
            claims=None,
            code_challenge=None,
            auth_time=NOW,
            acr="a",
            amr=("pwd",),
            created_at=NOW,
            expires_at=LATER,
        )
        await save_authorization_code(tx, bytes(32), code)

    async def consume(client_id: str, now: datetime) -> AuthorizationCode | None:
        async with database.transaction() as tx:
            return await consume_authorization_code(tx, bytes(32), client_id=client_id, now=now)

    assert await consume(other.client_id, NOW) is None
    assert await consume(client.client_id, LATER) is None
    outcomes = await asyncio.gather(*(consume(client.client_id, NOW) for _ in range(20)))
    found = [outcome for outcome in outcomes if outcome is not None]
    assert [(one.id, one.scope, one.auth_time) for one in found] == [(code.id, "openid", NOW)]


async def test_attempts_are_counted_exactly_and_a_closed_bucket_counts_nothing(
    provider: Provider,
) -> None:
    database = provider.resources.database

    async def attempt() -> bool:
        async with database.transaction() as tx:
            return await count_attempt(
                tx,
                bytes(32),
                free=7,
                delays=[timedelta(minutes=1)],
                now=NOW,
                window=timedelta(hours=1),
            )

    outcomes = await asyncio.gather(*(attempt() for _ in range(40)))

    assert sum(outcomes) == 7
    async with database.reading() as tx:
        assert (await tx.execute(select(login_attempts.c.failures))).scalar_one() == 7


async def test_a_later_revocation_never_weakens_an_earlier_one(
    backend: Backend, open_providers: OpenProvider
) -> None:
    """Two replicas' clocks differ, or the token's life is being made shorter."""
    provider: Provider = await open_providers(backend)
    database, revocation_list = provider.resources.database, provider.resources.revocations
    strong = Revocation("user", "somebody", NOW, LATER)
    weak = Revocation("user", "somebody", NOW - timedelta(seconds=5), LATER - timedelta(minutes=5))

    for entry in (strong, weak):
        async with database.transaction() as tx:
            await revocation_list.add(tx, [entry])

    async with database.reading() as tx:
        row = (
            await tx.execute(select(revocations.c.issued_before, revocations.c.expires_at))
        ).one()
    assert tuple(row) == (NOW, LATER)
    assert await revocation_list.is_revoked([("user", "somebody")], NOW)
