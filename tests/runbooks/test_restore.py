"""After a restore nothing counts that was issued before it, and what comes next works."""

import json
from contextlib import AsyncExitStack

import pytest

from authsvc.guard import RemoteVerifier
from tests.cli.command import OTHER_MASTER_KEY
from tests.conftest import MASTER_KEY
from tests.faults.replica import Replica
from tests.guarded import ORDERS
from tests.provider import ORIGIN
from tests.runbooks.belongings import Belongings, People, is_signed_in, make_people
from tests.runbooks.installation import Installation, guarding, is_let_in
from tests.runbooks.runbook import CommandFailed


async def live_before(replica: Replica, people: People, held: Belongings) -> None:
    """Hold what the backup will know as good."""
    for name in ("kept", "spent later", "revoked later", "logged out later"):
        await held.sign_in(replica, name, people.app, people.ada)
    await held.sign_in(replica, "disabled later", people.app, people.bob)
    await held.ask_for_code(replica, "redeemed later", people.app, people.ada)
    await held.ask_for_code(replica, "not redeemed", people.app, people.bob)
    await held.act_for_itself(replica, "machine", people.app)


async def live_on(replica: Replica, people: People, held: Belongings) -> None:
    """Do what the backup will not know of."""
    client, spent = held.refresh["spent later"]
    response = await replica.refresh(client, spent)
    held.refresh["successor"] = (client, response.json()["refresh_token"])
    held.access["successor"] = response.json()["access_token"]
    assert (await replica.revoke(*held.refresh["revoked later"])).status_code == 200
    assert (await replica.redeem(*held.codes["redeemed later"])).status_code == 200
    _, browser = held.browsers["logged out later"]
    await browser.submit(await browser.get("/logout"), {}, button="#logout-confirm")
    await held.sign_in(replica, "signed in later", people.app, people.ada)
    await held.act_for_itself(replica, "machine later", people.app)


async def finish_restore(installation: Installation, **variables: str) -> None:
    """Follow what comes after the database is restored."""
    with installation.follow("After any restore") as steps:
        assert "Every token of" in await steps.run(**variables)
        with installation.follow("Replace every signing key") as keys:
            await keys.run(**variables)
        said = await steps.run(**variables)
    assert "signed checkpoints agree" in said
    table = said.partition("KID ")[2].splitlines()[1:]
    assert {line.split()[2] for line in table} == {"active", "next", "revoked"}


async def check_it_is_over(
    replica: Replica, people: People, held: Belongings, guards: list[RemoteVerifier]
) -> None:
    """Check that nothing is good that is held, and that what comes next is."""
    assert await held.find_good(replica, guards) == set()
    renewed = Belongings()
    await renewed.sign_in(replica, "ada", people.app, people.ada)
    await renewed.act_for_itself(replica, "machine", people.app)
    for guard in guards:
        assert [await is_let_in(guard, token) for token in renewed.access.values()] == [True, True]
    assert (await replica.userinfo(renewed.access["ada"])).status_code == 200
    assert await is_signed_in(replica, *renewed.browsers["ada"])
    assert (await replica.refresh(*renewed.refresh["ada"])).status_code == 200


async def test_a_restored_postgresql_accepts_nothing_of_before(installation: Installation) -> None:
    async with installation.operator() as operator, AsyncExitStack() as services:
        people = await make_people(operator)
        replicas = await installation.start_two()
        held = Belongings()
        await live_before(replicas[0], people, held)
        await back_up(installation, "Back up PostgreSQL")
        await live_on(replicas[1], people, held)
        carol = await operator.create_user(username="carol")
        late = await operator.create_client(client_id="late", resources=[ORDERS])
        async with operator.resources.database.transaction() as tx:
            await operator.resources.people.disable(tx, people.bob.username, ORIGIN)
        await held.sign_in(replicas[0], "carol's", late, carol)
        await held.act_for_itself(replicas[0], "late's", late)
        # Services elsewhere, which know the keys of before and go on running.
        guards = [
            await services.enter_async_context(guarding(replicas[0], url))
            for url in (None, installation.backend.redis_url)
        ]
        for guard in guards:
            assert await is_let_in(guard, held.access["carol's"])
        running = services.pop_all()

    async with running:
        with installation.follow("Restore PostgreSQL") as steps:
            await steps.run()
            with pytest.raises(CommandFailed, match="being accessed by other users"):
                await steps.run()
            await installation.stop_all()
            await steps.run()
            await finish_restore(installation)
            lost = json.loads((installation.backup / "lost-events.json").read_text())
            assert {"user.disabled", "client.created"} <= {event["event"] for event in lost}
            replicas = [await installation.start_again(replica) for replica in replicas]
            await check_it_is_over(replicas[1], people, held, guards)
            refused = await replicas[0].token(late, grant_type="client_credentials")
            assert refused.status_code == 401

            renewed = Belongings()
            await renewed.sign_in(replicas[0], "renewed", people.app, people.ada)
            await installation.stop_all()
            await steps.run()
            replica = await installation.start_again(replicas[0])
            await check_the_old_database_counts(replica, held, renewed, guards)


async def check_the_old_database_counts(
    replica: Replica, held: Belongings, renewed: Belongings, guards: list[RemoteVerifier]
) -> None:
    """Check that after the way back all is as if nothing had been restored."""
    good = await held.find_good(replica, guards)
    assert {"refresh: kept", "session: kept", "refresh: carol's"} <= good
    over = {f"{kind}: revoked later" for kind in ("introspection", "guard 0", "guard 1", "refresh")}
    assert not good & {*over, "refresh: spent later", "session: logged out later"}
    assert await renewed.find_good(replica, guards) == set()
    response = await replica.refresh(*held.refresh["carol's"])
    for guard in guards:
        assert await is_let_in(guard, response.json()["access_token"])


async def test_a_restored_sqlite_accepts_nothing_of_before_under_a_later_master_key(
    sqlite_installation: Installation,
) -> None:
    installation = sqlite_installation
    async with installation.operator() as operator:
        people = await make_people(operator)
    replica = await installation.start()
    held = Belongings()
    await live_before(replica, people, held)
    await back_up(installation, "Back up SQLite")
    await live_on(replica, people, held)
    await installation.stop_all()

    with installation.follow("Restore SQLite") as steps:
        await steps.run()
    await finish_restore(installation, AUTHSVC_MASTER_KEY=f"{OTHER_MASTER_KEY} {MASTER_KEY}")

    replica = await installation.start(AUTHSVC_MASTER_KEY=OTHER_MASTER_KEY)
    async with guarding(replica) as guard:
        await check_it_is_over(replica, people, held, [guard])


async def back_up(installation: Installation, heading: str) -> None:
    """Make the backup; that it is whole is tested elsewhere."""
    with installation.follow(heading) as steps:
        await steps.run()
        steps.leave()
