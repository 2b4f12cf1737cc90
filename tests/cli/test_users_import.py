"""``authsvc users import``."""

import json
from pathlib import Path
from typing import Any

import argon2
import pytest

from authsvc.identity.passwords import check_password_hash
from authsvc.protocol.errors import InvalidRequest
from authsvc.resources import Resources
from authsvc.storage.users import get_user
from tests.cli.command import Cli
from tests.cli.conftest import Inside

HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(
    "battery staple", salt=b"sixteen bytes ..."
)


def lines(*people: dict[str, Any]) -> str:
    return "\n".join(json.dumps(person) for person in people)


def test_lines_of_json_and_an_array_are_read_alike(any_cli: Cli) -> None:
    people = [{"username": "ada", "email": "ada@example.org"}, {"username": "bob"}]
    from_lines = any_cli.json("users", "import", "-", stdin=lines(*people) + "\n\n")
    assert [user["username"] for user in from_lines] == ["ada", "bob"]
    for person in people:
        any_cli.json("users", "delete", person["username"])
    (any_cli.folder / "people.json").write_text(json.dumps(people))
    from_array = any_cli.json("users", "import", "people.json")
    assert [user["username"] for user in from_array] == ["ada", "bob"]


def test_hashes_are_kept_passwords_are_hashed_and_roles_are_assigned(
    cli: Cli, inside: Inside
) -> None:
    cli.json("roles", "create", "staff", "--permission", "desk:open")
    cli.json(
        "users",
        "import",
        "-",
        stdin=lines(
            {"username": "kept", "password_hash": HASH, "claims": {"locale": "de"}},
            {"username": "made", "password": "correct horse battery", "roles": ["staff"]},
            {"username": "none", "email": "n@example.org", "email_verified": True},
        ),
    )
    assert cli.json("users", "show", "made")["permissions"] == ["desk:open"]
    assert cli.json("users", "show", "kept")["claims"] == {"locale": "de"}
    assert cli.json("users", "show", "none")["email_verified"] is True

    async def verify(resources: Resources) -> list[bool]:
        verified = []
        for name, password in (("kept", "battery staple"), ("made", "correct horse battery")):
            async with resources.database.reading() as tx:
                user = await get_user(tx, name)
            verified.append(await resources.password_hashes.verify(user.password_hash, password))
        return verified

    assert inside(verify) == [True, True]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("{", "line 2: not JSON"),
        ("7", "line 2: not an object"),
        ('{"username": "x", "pasword": "y"}', "line 2: unknown member 'pasword'"),
        ('{"email": "x@example.org"}', "line 2: username is missing"),
        ('{"username": 7}', "line 2: username is not text"),
        ('{"username": "x", "roles": ["a", 1]}', "line 2: roles is not a list of names"),
        ('{"username": "x", "email_verified": 1}', "line 2: email_verified is not true or false"),
        ('{"username": "x", "password": "secret99", "password_hash": "h"}', "one is too many"),
        ('{"username": "x", "password": "short"}', "line 2, 'x': A password has at least 8"),
        ('{"username": "x", "password_hash": "$2b$12$abc"}', "line 2, 'x': A password hash"),
        ('{"username": "x", "claims": {"sub": "1"}}', "line 2, 'x': The claim belongs"),
        ('{"username": "x", "roles": ["nobody"]}', "line 2, 'x': There is no such role: nobody"),
        ('{"username": "ADA"}', "line 2, 'ADA': There is a user with this username"),
    ],
)
def test_one_wrong_line_is_named_and_nobody_is_imported(cli: Cli, second: str, reason: str) -> None:
    refused = cli.run("users", "import", "-", stdin='{"username": "ada"}\n' + second)
    assert reason in refused.refusal()
    assert cli.json("users", "list") == []


def test_of_an_array_the_wrong_entry_is_named(cli: Cli) -> None:
    refused = cli.run("users", "import", "-", stdin='[{"username": "ada"}, 1]')
    assert refused.refusal() == "entry 2: not an object"


def test_a_second_run_says_who_is_there_already(any_cli: Cli) -> None:
    text = lines({"username": "ada"})
    any_cli.json("users", "import", "-", stdin=text)
    refusal = any_cli.run("users", "import", "-", stdin=text).refusal()
    assert refusal == (
        "line 1, 'ada': There is a user with this username or email already; nothing was imported"
    )


def test_a_file_that_is_not_there_is_refused(cli: Cli) -> None:
    refusal = cli.run("users", "import", "people.json").refusal()
    assert refusal == "people.json can not be read: No such file or directory"


def test_every_hash_that_argon2_makes_is_accepted() -> None:
    for memory, passes, lanes in ((8, 1, 1), (65_536, 3, 4), (19_456, 2, 1)):
        hasher = argon2.PasswordHasher(passes, memory, lanes)
        check_password_hash(hasher.hash("battery staple"))


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "battery staple",
        HASH.replace("argon2id", "argon2i"),
        HASH.replace("v=19", "v=16"),
        HASH.replace("m=8192", "m=4194304"),
        HASH.replace("m=8192", "m=0"),
        HASH.replace("t=1", "t=0"),
        HASH.replace("p=1", "p=0"),
        HASH[:-30],
        HASH[:-1] + "!",
        HASH + "\n",
        HASH + "$more",
        HASH.replace("$argon2id", "argon2id"),
    ],
)
def test_what_no_sign_in_could_verify_is_no_hash(encoded: str) -> None:
    with pytest.raises(InvalidRequest):
        check_password_hash(encoded)


def test_standard_output_names_no_secret(cli: Cli, tmp_path: Path) -> None:
    person = {"username": "ada", "password_hash": HASH}
    said = cli.run("users", "import", "-", "--json", stdin=lines(person))
    assert "argon2" not in said.output
