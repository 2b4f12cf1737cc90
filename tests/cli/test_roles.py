"""``authsvc roles``."""

from tests.cli.command import Cli


def test_a_role_has_permissions_and_inherits(any_cli: Cli) -> None:
    reader = any_cli.json("roles", "create", "reader", "--permission", "orders:read")
    assert reader == {"name": "reader", "permissions": ["orders:read"], "inherits": []}
    writer = any_cli.json(
        "roles", "create", "writer", "--permission", "orders:write", "--permission",
        "orders:close", "--inherits", "reader",
    )  # fmt: skip
    assert writer == {
        "name": "writer",
        "permissions": ["orders:close", "orders:write"],
        "inherits": ["reader"],
    }
    assert any_cli.json("roles", "show", "writer") == writer
    assert any_cli.json("roles", "list") == [reader, writer]


def test_a_second_role_of_the_name_is_a_conflict(cli: Cli) -> None:
    cli.json("roles", "create", "reader")
    assert "already" in cli.run("roles", "create", "reader").refusal()


def test_allowing_and_denying_are_safe_to_repeat(cli: Cli) -> None:
    cli.json("roles", "create", "reader")
    for _ in range(2):
        allowed = cli.json("roles", "allow", "reader", "orders:read")
        assert allowed["permissions"] == ["orders:read"]
    for _ in range(2):
        assert cli.json("roles", "deny", "reader", "orders:read")["permissions"] == []


def test_users_and_clients_hold_roles_with_what_these_inherit(any_cli: Cli) -> None:
    any_cli.json("roles", "create", "reader", "--permission", "orders:read")
    any_cli.json("roles", "create", "writer", "--inherits", "reader")
    any_cli.json("users", "create", "ada", "--email", "ada@example.org")
    any_cli.json(
        "clients", "create", "--client-id", "job", "--metadata", "-",
        stdin='{"grant_types": ["client_credentials"], "response_types": []}',
    )  # fmt: skip
    for kind, holder, group in (("user", "ada", "users"), ("client", "job", "clients")):
        first = any_cli.json("roles", "assign", "writer", f"--{kind}", holder)
        assert first == {"role": "writer", kind: holder, "assigned": True, "changed": True}
        assert any_cli.json("roles", "assign", "writer", f"--{kind}", holder)["changed"] is False
        shown = any_cli.json(group, "show", holder)
        assert (shown["roles"], shown["permissions"]) == (["writer"], ["orders:read"])
        taken = any_cli.json("roles", "unassign", "writer", f"--{kind}", holder)
        assert taken == {"role": "writer", kind: holder, "assigned": False, "changed": True}
        assert any_cli.json("roles", "unassign", "writer", f"--{kind}", holder)["changed"] is False
        assert any_cli.json(group, "show", holder)["roles"] == []


def test_a_role_is_assigned_to_one_kind_of_holder(cli: Cli) -> None:
    for command in ("assign", "unassign"):
        cli.run("roles", command, "reader").refusal(2)
        cli.run("roles", command, "reader", "--user", "ada", "--client", "job").refusal(2)


def test_what_is_not_there_is_refused(cli: Cli) -> None:
    cli.json("roles", "create", "reader")
    assert cli.run("roles", "show", "writer").refusal() == "there is no such role: writer"
    assert cli.run("roles", "delete", "writer").refusal() == "there is no such role: writer"
    inherits = ("--inherits", "reader", "--inherits", "x")
    refused = cli.run("roles", "create", "w", *inherits)
    assert refused.refusal() == "there is no such role: x"
    assert cli.run("roles", "show", 'a "b"').refusal() == "there is no such role"
    refusal = cli.run("roles", "assign", "reader", "--user", "ada").refusal()
    assert refusal == "there is no such user"
    refusal = cli.run("roles", "assign", "reader", "--client", "job").refusal()
    assert refusal == "there is no such client"


def test_a_permission_with_a_space_is_refused(cli: Cli) -> None:
    refused = cli.run("roles", "create", "reader", "--permission", "orders read")
    assert "orders:read" in refused.refusal()


def test_a_deleted_role_is_held_by_nobody(cli: Cli) -> None:
    cli.json("roles", "create", "reader", "--permission", "orders:read")
    cli.json("users", "create", "ada", "--email", "ada@example.org")
    cli.json("roles", "assign", "reader", "--user", "ada")
    answer = cli.json("roles", "delete", "reader")
    assert answer == {"name": "reader", "deleted": True, "holders": 1}
    shown = cli.json("users", "show", "ada")
    assert (shown["roles"], shown["permissions"]) == ([], [])


def test_deleting_a_role_says_how_many_have_lost_it(cli: Cli) -> None:
    for name, holders in (("none", ()), ("one", ("ada",)), ("two", ("ada", "bob"))):
        cli.json("roles", "create", name)
        for holder in holders:
            if cli.run("users", "show", holder).code:
                cli.json("users", "create", holder, "--email", f"{holder}@example.org")
            cli.json("roles", "assign", name, "--user", holder)
    said = [cli.run("roles", "delete", name).output for name in ("none", "one", "two")]
    assert said == [
        "The role none is deleted; nobody held it.\n",
        "The role one is deleted; 1 holder has lost it.\n",
        "The role two is deleted; 2 holders have lost it.\n",
    ]
