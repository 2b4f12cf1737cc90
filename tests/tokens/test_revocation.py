"""Who is hit by a revocation and who is not, and for how long an entry has to stand."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from authsvc.storage.schema import revocations
from authsvc.tokens.everything import Ended, revoke_everything
from tests.browser import Browser
from tests.conftest import Backend, BackendName, OpenProvider
from tests.provider import ORIGIN, Account, Provider, TestClient, claims_of

MakeBackend = Callable[[BackendName], Backend]


@dataclass
class Town:
    """Two people, two clients, two browsers each: eight sign-ins, and the machines' tokens."""

    provider: Provider
    people: dict[str, Account]
    clients: dict[str, TestClient]
    browsers: dict[tuple[str, str], Browser]
    tokens: dict[str, dict[str, Any]]

    async def living(self) -> set[str]:
        """Return the names of the access tokens that are good, and check who says so."""
        found = set()
        resource_server = self.clients["c1"]
        for name, response in self.tokens.items():
            answer = await self.provider.introspect(resource_server, response["access_token"])
            if answer["active"]:
                found.add(name)
            if name.startswith("u"):
                status = (await self.provider.userinfo(response["access_token"])).status_code
                assert status == (200 if answer["active"] else 401), name
        return found

    async def refreshing(self) -> set[str]:
        """Return the names of the families that can still refresh, as introspection has it."""
        return {
            name
            for name, response in self.tokens.items()
            if "refresh_token" in response
            and (
                await self.provider.introspect(
                    self.clients[name.split()[1]], response["refresh_token"]
                )
            )["active"]
        }

    def named(self, *words: str) -> set[str]:
        """Return the names that hold one of the words."""
        return {name for name in self.tokens if any(word in name.split() for word in words)}

    def of_people(self) -> set[str]:
        """Return the names of what people were issued."""
        return {name for name in self.tokens if name.startswith("u")}


@pytest.fixture(params=["sqlite", "postgres+redis"])
def town_backend(request: pytest.FixtureRequest, make_backend: MakeBackend) -> Backend:
    """Revocations asked of the database, and revocations kept in memory."""
    return make_backend(request.param)


@pytest.fixture
async def town(town_backend: Backend, open_providers: OpenProvider) -> Town:
    """Everybody signed in everywhere, a second ago."""
    provider = await open_providers(town_backend)
    people = {name: await provider.create_user() for name in ("u1", "u2")}
    clients = {name: await provider.create_client() for name in ("c1", "c2")}
    browsers = {(user, s): provider.browser() for user in people for s in ("s1", "s2")}
    tokens = {
        f"{user} {client} {session}": await provider.sign_in(
            clients[client], people[user], browsers[user, session]
        )
        for user in people
        for client in clients
        for session in ("s1", "s2")
    }
    for name, client in clients.items():
        response = await provider.token(client, grant_type="client_credentials")
        tokens[f"machine {name}"] = response.json()
    provider.clock.move(seconds=1)
    return Town(provider, people, clients, browsers, tokens)


async def _revoke_access_token(town: Town) -> None:
    token = town.tokens["u1 c1 s1"]["access_token"]
    assert (await town.provider.revoke(town.clients["c1"], token)).status_code == 200


async def _revoke_machine_token(town: Town) -> None:
    token = town.tokens["machine c1"]["access_token"]
    assert (await town.provider.revoke(town.clients["c1"], token)).status_code == 200


async def _revoke_refresh_token(town: Town) -> None:
    token = town.tokens["u1 c1 s1"]["refresh_token"]
    assert (await town.provider.revoke(town.clients["c1"], token)).status_code == 200


async def _replay_refresh_token(town: Town) -> None:
    spent = town.tokens["u1 c1 s1"]["refresh_token"]
    client = town.clients["c1"]
    successor = (await town.provider.refresh(client, spent)).json()["refresh_token"]
    await town.provider.refresh(client, successor)
    assert (await town.provider.refresh(client, spent)).json()["error"] == "invalid_grant"


async def _log_out(town: Town) -> None:
    browser = town.browsers["u1", "s1"]
    page = await browser.get("/logout")
    await browser.submit(page, {}, button="#logout-confirm")


async def _revoke_user(town: Town) -> None:
    resources = town.provider.resources
    async with resources.database.transaction() as tx:
        await resources.people.revoke_sessions(tx, town.people["u1"].id, ORIGIN)


async def _revoke_client(town: Town) -> None:
    resources = town.provider.resources
    async with resources.database.transaction() as tx:
        await resources.revoker.revoke_client(tx, town.clients["c2"].client_id)


async def _revoke_everything(town: Town) -> None:
    resources = town.provider.resources
    ended = await revoke_everything(
        resources.database, resources.revoker, resources.audit, resources.clock, ORIGIN
    )
    assert ended == Ended(people=2, clients=2, sessions=4, families=8)


async def _delete_client(town: Town) -> None:
    server = town.provider.server
    async with server.resources.database.transaction() as tx:
        await server.client_administration.delete(tx, town.clients["c2"].client_id, ORIGIN)


Hit = Callable[[Town], set[str]]
ONE: Hit = lambda _town: {"u1 c1 s1"}  # noqa: E731  # a row of the table, as the others are
NONE: Hit = lambda _town: set()  # noqa: E731  # same
TABLE: dict[str, tuple[Callable[[Town], Awaitable[None]], Hit, Hit]] = {
    "an access token goes alone": (_revoke_access_token, ONE, NONE),
    "so does a machine's": (_revoke_machine_token, lambda _town: {"machine c1"}, NONE),
    "a refresh token takes its family along": (_revoke_refresh_token, ONE, ONE),
    "so does one that is used twice": (_replay_refresh_token, ONE, ONE),
    "a session takes its access tokens along, and offline access lives on": (
        _log_out,
        lambda town: town.named("u1") & town.named("s1"),
        NONE,
    ),
    "a person takes everything of theirs along": (
        _revoke_user,
        lambda town: town.named("u1"),
        lambda town: town.named("u1"),
    ),
    "a client takes everything it was issued along": (
        _revoke_client,
        lambda town: town.named("c2"),
        lambda town: town.named("c2") & town.of_people(),
    ),
    "everything is everything": (
        _revoke_everything,
        lambda town: set(town.tokens),
        lambda town: town.of_people(),
    ),
}


@pytest.mark.parametrize(("revoke", "tokens", "families"), TABLE.values(), ids=TABLE.keys())
async def test_a_revocation_hits_its_own_and_nobody_else(
    town: Town, revoke: Callable[[Town], Awaitable[None]], tokens: Hit, families: Hit
) -> None:
    assert await town.living() == set(town.tokens)
    assert await town.refreshing() == town.of_people()

    await revoke(town)

    assert await town.living() == set(town.tokens) - tokens(town)
    assert await town.refreshing() == town.of_people() - families(town)


async def test_a_client_that_is_deleted_takes_everything_along(town: Town) -> None:
    await _delete_client(town)

    assert await town.living() == set(town.tokens) - town.named("c2")
    response = await town.provider.token(town.clients["c2"], grant_type="client_credentials")
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


async def test_a_client_may_revoke_its_own_tokens_alone(town: Town) -> None:
    for kind in ("access_token", "refresh_token"):
        refused = await town.provider.revoke(town.clients["c2"], town.tokens["u1 c1 s1"][kind])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")

    assert await town.living() == set(town.tokens)
    assert await town.refreshing() == town.of_people()


@pytest.mark.parametrize("revoke", [_revoke_user, _revoke_client, _revoke_everything])
async def test_what_is_issued_after_a_revocation_is_good_in_the_same_second_too(
    town: Town, revoke: Callable[[Town], Awaitable[None]]
) -> None:
    client, account = town.clients["c2"], town.people["u1"]

    await revoke(town)
    tokens = await town.provider.sign_in(client, account, town.provider.browser())

    before = claims_of(town.tokens["u1 c2 s1"]["access_token"])
    assert claims_of(tokens["access_token"])["iat"] - before["iat"] < 60
    assert (await town.provider.userinfo(tokens["access_token"])).status_code == 200
    assert (await town.provider.refresh(client, tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("token", ["x", "x.y.z", "x" * 600, "x." * 300])
async def test_revoking_what_is_no_token_is_no_error_and_writes_nothing(
    sqlite_provider: Provider, token: str
) -> None:
    client = await sqlite_provider.create_client()

    assert (await sqlite_provider.revoke(client, token)).status_code == 200

    assert await _listed(sqlite_provider) == 0


async def _listed(provider: Provider) -> int:
    async with provider.resources.database.reading() as tx:
        rows = await tx.execute(select(func.count()).select_from(revocations))
        return int(rows.scalar_one())


async def test_a_shorter_life_ends_tokens_from_before_as_well(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    before = await open_providers(sqlite_backend, access_token_ttl=600)
    client = await before.create_client()
    response = await before.token(client, grant_type="client_credentials")
    token = response.json()["access_token"]
    claims = claims_of(token)
    assert claims["exp"] - claims["iat"] == 600

    after = await open_providers(sqlite_backend, access_token_ttl=60)
    answer = await after.introspect(client, token)
    assert answer["active"] is True
    assert claims["iat"] + 59 <= answer["exp"] <= claims["iat"] + 61
    after.clock.move(seconds=61)

    assert await after.introspect(client, token) == {"active": False}


async def test_a_longer_life_makes_no_token_from_before_live_longer(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    before = await open_providers(sqlite_backend, access_token_ttl=60)
    client = await before.create_client()
    token = (await before.token(client, grant_type="client_credentials")).json()["access_token"]

    after = await open_providers(sqlite_backend, access_token_ttl=600)
    after.clock.move(seconds=61)

    assert await after.introspect(client, token) == {"active": False}


async def test_an_entry_stands_for_longer_than_any_token_it_concerns(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    tokens = await provider.sign_in(client, account)

    await provider.revoke(client, tokens["access_token"])
    await provider.revoke(client, tokens["refresh_token"])

    expires_at = claims_of(tokens["access_token"])["exp"]
    async with provider.resources.database.reading() as tx:
        rows = (await tx.execute(select(revocations.c.kind, revocations.c.expires_at))).all()
    assert sorted(kind for kind, _ in rows) == ["family", "token"]
    assert all(at.timestamp() > expires_at + 30 for _, at in rows)


async def test_an_entry_that_has_expired_concerns_nobody(provider: Provider) -> None:
    client, account = await provider.create_client(), await provider.create_user()
    resources = provider.resources
    await provider.sign_in(client, account)
    async with resources.database.transaction() as tx:
        await resources.people.revoke_sessions(tx, account.id, ORIGIN)
        await resources.revoker.revoke_client(tx, client.client_id)
        expired = resources.clock.now() - timedelta(days=1)
        await tx.execute(update(revocations).values(expires_at=expired))
    provider.clock.move(seconds=400)

    tokens = await provider.sign_in(client, account)

    assert (await provider.userinfo(tokens["access_token"])).status_code == 200
    machine = await provider.token(client, grant_type="client_credentials")
    answer = await provider.introspect(client, machine.json()["access_token"])
    assert answer["active"] is True


async def test_memory_holds_no_entry_for_longer_than_it_counts(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend)
    kept = provider.resources.revocations._entries
    client = await provider.create_client()
    for _ in range(5):
        response = await provider.token(client, grant_type="client_credentials")
        await provider.revoke(client, response.json()["access_token"])

    if backend.redis_url is None:
        # Nothing is looked up there, so nothing is kept there.
        assert not kept
        return
    assert len(kept) == 5
    provider.clock.move(seconds=1_000)
    await provider.resources.revocations._reload(False)
    assert not kept
