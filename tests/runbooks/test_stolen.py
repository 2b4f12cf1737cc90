"""What was stolen is good for nothing any more on any replica, and the rest is."""

import re

import asyncpg
import pytest

from authsvc.tokens.access_token import mint_access_token
from tests.conftest import MASTER_KEY
from tests.faults.replica import Replica
from tests.provider import SECRET, Account, TestClient, header_of
from tests.runbooks.belongings import Belongings, People, is_signed_in, make_people
from tests.runbooks.installation import (
    Installation,
    guarding,
    is_let_in,
    until,
    until_well,
    with_account,
)
from tests.runbooks.owner import Owner
from tests.runbooks.runbook import CommandFailed


async def make_scene(installation: Installation) -> tuple[People, list[Replica], Belongings]:
    """Start two replicas, at which ada and bob are signed in and the app acts for itself."""
    async with installation.operator() as operator:
        people = await make_people(operator)
    replicas = await installation.start_two()
    held = Belongings()
    await held.sign_in(replicas[0], "ada", people.app, people.ada)
    await held.sign_in(replicas[1], "bob", people.app, people.bob)
    await held.act_for_itself(replicas[0], "machine", people.app)
    return people, replicas, held


async def find_active(replica: Replica, held: Belongings) -> set[str]:
    """Return the names of the access tokens that introspection calls active."""
    orders = TestClient("orders", SECRET, {})
    return {
        name
        for name, token in held.access.items()
        if (await replica.introspect(orders, token))["active"]
    }


async def test_a_stolen_signing_key_counts_nowhere_and_other_keys_do(
    installation: Installation,
) -> None:
    _, replicas, held = await make_scene(installation)
    kid = header_of(held.access["ada"])["kid"]
    before = {jwk["kid"] for jwk in (await replicas[0].http.get("/jwks")).json()["keys"]}
    async with guarding(replicas[0], installation.backend.redis_url) as guard:
        assert await is_let_in(guard, held.access["ada"])

        with installation.follow("A signing key was stolen") as steps:
            said = await steps.run(KID=kid)

        for replica in replicas:
            assert await find_active(replica, held) == set()
            assert (await replica.userinfo(held.access["ada"])).status_code == 401
            jwks = (await replica.http.get("/jwks")).json()["keys"]
            assert before - {jwk["kid"] for jwk in jwks} == {kid}
        assert re.search(rf"^{re.escape(kid)} .*revoked", said, re.MULTILINE)

        async def is_refused() -> bool:
            return not await is_let_in(guard, held.access["ada"])

        await until(is_refused)
        renewed = await replicas[1].refresh(*held.refresh["ada"])
        assert renewed.status_code == 200
        assert await is_let_in(guard, renewed.json()["access_token"])
    assert await is_signed_in(replicas[0], *held.browsers["bob"])


async def test_a_stolen_master_key_opens_nothing_and_nobody_notices_the_change(
    installation: Installation,
) -> None:
    file = installation.folder / "master-key"
    file.write_text(f"{MASTER_KEY}\n")
    del installation.variables["AUTHSVC_MASTER_KEY"]
    installation.variables["AUTHSVC_MASTER_KEY_FILE"] = str(file)
    async with installation.operator() as operator:
        _ = await operator.create_client(
            client_id="signs", token_endpoint_auth_method="client_secret_jwt"
        )
    _, replicas, held = await make_scene(installation)

    with installation.follow("The master key was stolen") as steps:
        assert await steps.run() == "signs\n"
        await steps.run()
        keys = file.read_text().split()
        assert (len(keys), keys[1]) == (2, MASTER_KEY)
        replicas[0] = await installation.restart(replicas[0])
        assert await find_active(replicas[0], held) == await find_active(replicas[1], held) != set()
        replicas[1] = await installation.restart(replicas[1])
        await until_well(replicas[1])
        said = await steps.run()
        assert "are now under the newest master key" in said
        said = await steps.run()
        assert "older" not in said
    assert file.read_text().split() == keys[:1]
    assert file.stat().st_mode & 0o777 == 0o600

    for number, replica in enumerate(replicas):
        replicas[number] = await installation.restart(replica)
    for replica in replicas:
        assert await find_active(replica, held) == {"ada", "bob", "machine"}
    assert (await replicas[0].refresh(*held.refresh["ada"])).status_code == 200
    assert await is_signed_in(replicas[1], *held.browsers["bob"])
    file.write_text(MASTER_KEY)
    with installation.follow("The master key was stolen") as steps:
        del steps.remaining[:2]
        with pytest.raises(CommandFailed, match="master key"):
            await steps.run()
        steps.leave()


async def test_who_has_database_and_master_key_signs_nothing_once_every_key_is_replaced(
    installation: Installation,
) -> None:
    people, replicas, held = await make_scene(installation)
    async with installation.operator() as thief:
        keyring = await thief.resources.keyring.get()
        forged = mint_access_token(
            keyring.active("ES256"),
            issuer=thief.settings.issuer,
            subject=people.app.client_id,
            client_id=people.app.client_id,
            audience=[thief.settings.issuer],
            scope=[],
            roles=[],
            permissions=[],
            now=thief.clock.now(),
            ttl=thief.settings.access_token_ttl,
        )
    held.access["forged"] = forged
    assert "forged" in await find_active(replicas[1], held)

    with installation.follow("Replace every signing key") as steps:
        await steps.run()

    for replica in replicas:
        assert await find_active(replica, held) == set()
        assert (await replica.refresh(*held.refresh["ada"])).status_code == 200
    assert await is_signed_in(replicas[1], *held.browsers["ada"])


async def test_a_stolen_secret_of_a_client_is_refused_and_other_clients_go_on(
    installation: Installation,
) -> None:
    people, replicas, held = await make_scene(installation)
    response = await replicas[0].token(people.orders, grant_type="client_credentials")
    held.access["orders"] = response.json()["access_token"]

    with installation.follow("A client's secret was stolen") as steps:
        said = await steps.run(CLIENT="app")

    found = re.search(r"^client_secret +(\S+)$", said, re.MULTILINE)
    assert found is not None
    renewed = TestClient("app", found[1], {})
    for replica in replicas:
        assert await find_active(replica, held) == {"orders"}
        refused = await replica.token(people.app, grant_type="client_credentials")
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        _, refresh_token = held.refresh["ada"]
        assert (await replica.refresh(renewed, refresh_token)).status_code == 400
        assert await is_signed_in(replica, *held.browsers["ada"])
    tokens = await replicas[1].sign_in(renewed, people.ada)
    assert (await replicas[0].userinfo(tokens["access_token"])).status_code == 200


async def test_a_stolen_password_of_the_database_lets_nobody_in_and_people_are_served(
    installation: Installation, owner: Owner
) -> None:
    stolen, renewed = installation.backend.database_url, "another-password"
    _, replicas, held = await make_scene(installation)
    with installation.follow("Back up PostgreSQL") as steps:
        await steps.run()
        steps.leave()
    thief = await asyncpg.connect(stolen)
    try:
        with installation.follow("The database account's password was stolen") as steps:
            await steps.run(stdin=f"{renewed}\n{renewed}\n")
            url = with_account(stolen, owner.name, renewed)
            replicas[0] = await installation.restart(replicas[0], AUTHSVC_DATABASE_URL=url)
            assert await find_active(replicas[1], held) == set(held.access)
            replicas[1] = await installation.restart(replicas[1], AUTHSVC_DATABASE_URL=url)
            await steps.run(PGPASSWORD=renewed)
            said = await steps.run(AUTHSVC_DATABASE_URL=url)
        assert "signed checkpoints agree" in said

        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await thief.fetch("SELECT 1")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(stolen)
        for replica in replicas:
            await until_well(replica)
            assert await find_active(replica, held) == set(held.access)
        assert (await replicas[0].refresh(*held.refresh["ada"])).status_code == 200
    finally:
        thief.terminate()
        await owner.reset_password()


async def test_a_stolen_session_and_a_stolen_password_end_and_other_people_go_on(
    installation: Installation,
) -> None:
    people, replicas, held = await make_scene(installation)
    with installation.follow("A person's password or session was stolen") as steps:
        await steps.run(PERSON="ada")
        await check_ada_is_out(replicas, people, held)
        await held.sign_in(replicas[0], "ada", people.app, people.ada)
        assert "ada" in await find_active(replicas[1], held)

        await steps.run(PERSON="ada", stdin="another correct horse")
        await check_ada_is_out(replicas, people, held)
    with pytest.raises(AssertionError, match="no way on"):
        await replicas[0].sign_in(people.app, people.ada)
    renewed = Account(people.ada.id, "ada", "another correct horse")
    assert "access_token" in await replicas[1].sign_in(people.app, renewed)


async def check_ada_is_out(replicas: list[Replica], people: People, held: Belongings) -> None:
    """Check that nothing of ada's is good on any replica, and all else is."""
    for replica in replicas:
        assert await find_active(replica, held) == {"bob", "machine"}
        assert (await replica.refresh(*held.refresh["ada"])).status_code == 400
        assert not await is_signed_in(replica, *held.browsers["ada"])
        assert await is_signed_in(replica, *held.browsers["bob"])
