"""A backup that is taken while people refresh their tokens is whole."""

import pytest

from tests.runbooks.installation import Installation, with_database
from tests.runbooks.load import refreshing
from tests.runbooks.runbook import CommandFailed


async def test_a_dump_under_load_is_of_one_moment(installation: Installation) -> None:
    async with installation.operator() as operator:
        client, account = await operator.create_client(), await operator.create_user()
    replica = await installation.start()

    with installation.follow("Back up PostgreSQL") as steps:
        async with refreshing(replica, client, account) as load:
            before = load.done
            await steps.run()
            assert load.done > before
        check = with_database(installation.backend.database_url, "authsvc_check")
        said = await steps.run(CHECK_DATABASE_URL=check)
    assert "agrees with the models" in said
    assert "signed checkpoints agree" in said
    assert "ok       master key" in said
    modes = {path.name: path.stat().st_mode & 0o777 for path in installation.backup.iterdir()}
    assert modes == {"authsvc.dump": 0o600, "heads": 0o600, "jwks.json": 0o600}


async def test_a_backup_that_another_master_key_was_kept_for_is_noticed(
    installation: Installation,
) -> None:
    check = with_database(installation.backend.database_url, "authsvc_check")
    with installation.follow("Back up PostgreSQL") as steps:
        await steps.run()
        with pytest.raises(CommandFailed, match="master key"):
            await steps.run(CHECK_DATABASE_URL=check, AUTHSVC_MASTER_KEY="x" * 43)
        steps.leave()


async def test_a_copy_of_sqlite_under_load_is_of_one_moment(
    sqlite_installation: Installation,
) -> None:
    installation = sqlite_installation
    async with installation.operator() as operator:
        client, account = await operator.create_client(), await operator.create_user()
    replica = await installation.start()

    with installation.follow("Back up SQLite") as steps:
        async with refreshing(replica, client, account) as load:
            before = load.done
            await steps.run()
            assert load.done > before
        said = await steps.run()
    assert "agrees with the models" in said
    assert "signed checkpoints agree" in said
    assert sorted(path.name for path in installation.backup.iterdir()) == [
        "authsvc.db",
        "heads",
        "jwks.json",
    ]
