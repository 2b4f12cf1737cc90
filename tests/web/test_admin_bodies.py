"""Bodies and queries of the admin API that are not plain are refused and change nothing."""

from contextlib import suppress
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from authsvc.protocol.errors import InvalidRequest
from authsvc.web.admin.bodies import parse_object
from authsvc.web.admin.routes import OPERATIONS
from tests.provider import Provider
from tests.web.admin import open_admin

JSON = {"Content-Type": "application/json"}
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" ",
    "cut off": b'{"username": "ada"',
    "two values": b'{"username": "ada"} {}',
    "array": b'[{"username": "ada"}]',
    "text": b'"ada"',
    "null": b"null",
    "number": b"1",
    "duplicate": b'{"username": "ada", "username": "eve"}',
    "duplicate by escape": b'{"username": "ada", "usern\\u0061me": "eve"}',
    "duplicate below": b'{"username": "ada", "claims": {"a": 1, "a": 2}}',
    "unknown member": b'{"username": "ada", "admin": true}',
    "prototype": b'{"username": "ada", "__proto__": {}}',
    "NUL": b'{"username": "ada\\u0000"}',
    "NUL below": b'{"username": "ada", "claims": {"x": [["\\u0000"]]}}',
    "NUL in a name": b'{"username": "ada", "claims": {"x\\u0000": 1}}',
    "raw control character": b'{"username": "ada\x01"}',
    "escape sequence": b'{"username": "ada", "claims": {"x": "\\u001b[2J"}}',
    "half a pair": b'{"username": "ada\\ud800"}',
    "half a pair below": b'{"username": "ada", "claims": {"x": "\\udfff"}}',
    "line break in a name": b'{"username": "a\\nb"}',
    "separator in a name": b'{"username": "a\\u2028b"}',
    "broken UTF-8": b'{"username": "\xff"}',
    "UTF-16": '{"username": "ada"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"username": "ada"}',
    "not a number": b'{"username": "ada", "claims": {"x": NaN}}',
    "infinity": b'{"username": "ada", "claims": {"x": -Infinity}}',
    "overflow": b'{"username": "ada", "claims": {"x": 1e999}}',
    "huge number": b'{"username": "ada", "claims": {"x": ' + b"9" * 5000 + b"}}",
    "large number": b'{"username": "ada", "claims": {"x": 9007199254740993}}',
    "deep": b'{"username": "ada", "claims": {"x": ' + b"[" * 30 + b"]" * 30 + b"}}",
    "abyss": b'{"username": "ada", "claims": ' + b'{"x":' * 10_000 + b"1" + b"}" * 10_001,
    "abyss of arrays": b"[" * 60_000,
    "wrong type": b'{"username": 5}',
    "number for text": b'{"username": "ada", "email": 1}',
    "text for flag": b'{"username": "ada", "email": "a@b.c", "email_verified": "true"}',
    "number for flag": b'{"username": "ada", "email": "a@b.c", "email_verified": 1}',
    "null for flag": b'{"username": "ada", "email_verified": null}',
    "array for object": b'{"username": "ada", "claims": []}',
    "null for object": b'{"username": "ada", "claims": null}',
    "required is missing": b'{"email": "a@b.c"}',
    "comment": b'{"username": "ada" /* x */}',
    "trailing comma": b'{"username": "ada",}',
    "form": b"username=ada",
}


async def test_a_hostile_body_is_a_bad_request_and_changes_nothing(provider: Provider) -> None:
    admin = await open_admin(provider)
    for name, content in HOSTILE.items():
        response = await admin.call("POST", "/users", content=content, headers=JSON)

        assert response.status_code == 400, (name, response.text)
        assert response.json()["error"] == "invalid_request", name
        assert set(response.json()) == {"error", "error_description"}, name
    assert (await admin.get("/users"))["items"] == []


async def test_every_operation_with_a_body_refuses_what_is_no_object(
    sqlite_provider: Provider,
) -> None:
    admin = await open_admin(sqlite_provider)
    for operation in OPERATIONS:
        path = operation.path.replace("{", "").replace("}", "")
        for content in (b"[]", b'{"a":1,"a":1}', b'"\\ud800"', b"\x00"):
            response = await admin.call(operation.method, path, content=content, headers=JSON)
            assert response.status_code == 400, (operation.method, path, content)


NAMED: list[tuple[str, dict[str, Any]]] = [
    ("admin is not known here", {"username": "ada", "admin": 1}),
    ("username is required", {}),
    ("username must be text", {"username": 5}),
    ("email_verified must be true or false", {"username": "ada", "email_verified": 1}),
    ("claims must be an object", {"username": "ada", "claims": 1}),
    ("A member is not known here", {"username": "ada", '"><script>': 1}),
    ("A member is not known here", {"username": "ada", "x" * 200: 1}),
    ("A member is not known here", {"username": "ada", "\u00fc": 1}),
]


async def test_the_error_names_the_member_and_echoes_nothing_else(
    sqlite_provider: Provider,
) -> None:
    admin = await open_admin(sqlite_provider)
    for description, members in NAMED:
        response = await admin.call("POST", "/users", json=members)

        assert response.json() == {"error": "invalid_request", "error_description": description}


async def test_a_password_in_a_refused_body_is_not_answered(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    members = {"username": "ada", "password": {"x": "the-password"}, "email": 5}

    response = await admin.call("POST", "/users", json=members)

    assert response.status_code == 400
    assert "the-password" not in response.text


OTHER_TYPES = (
    None, "", "text/plain", "text/json", "application/x-www-form-urlencoded",
    "application/jsonp", "application/json, text/plain", "application/json;charset=utf-16",
    "multipart/form-data",
)  # fmt: skip


async def test_a_body_of_another_type_is_415(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    for content_type in OTHER_TYPES:
        headers = {} if content_type is None else {"Content-Type": content_type}
        response = await admin.call("POST", "/users", content=b'{"username":"a"}', headers=headers)

        assert response.status_code == 415, content_type
        assert response.json()["error"] == "invalid_request"


async def test_the_type_may_name_its_charset(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    for number, content_type in enumerate(
        ("APPLICATION/JSON", 'application/json; charset="UTF-8"', "application/json ;charset=utf-8")
    ):
        response = await admin.call(
            "POST",
            "/users",
            content=orjson.dumps({"username": f"user{number}"}),
            headers={"Content-Type": content_type},
        )
        assert response.status_code == 201, content_type


async def test_a_body_that_is_too_large_is_413(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)

    response = await admin.call("POST", "/users", json={"username": "a" * 100_000})

    assert response.status_code == 413


QUERIES = (
    "limit=0", "limit=201", "limit=-1", "limit=1.5", "limit=abc", "limit=", "limit=0x10",
    "limit=%D9%A1", "limit=+1", "limit=1&limit=2", "limit=99999999999999999999",
    "cursor=", "cursor=abc", "cursor=!", "cursor=%00", "cursor=dXNlcnM6AA",
    "cursor=cm9sZXM6YQ", "cursor=/w", "cursor=" + "a" * 2000, "unknown=1", "login=", "%ff=1",
    "limit=1%00",
)  # fmt: skip


async def test_a_query_that_is_not_understood_is_a_bad_request(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    for query in QUERIES:
        response = await admin.call("GET", f"/users?{query}")

        assert response.status_code == 400, query
        assert response.json()["error"] == "invalid_request"


async def test_a_query_where_none_is_known_is_a_bad_request(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)

    response = await admin.call("DELETE", "/roles/admin?force=1")

    assert response.status_code == 400
    assert await admin.get("/roles/admin")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(InvalidRequest):
        assert isinstance(parse_object(raw), dict)


PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | PLAIN
    | st.floats(allow_nan=False, allow_infinity=False, width=32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(PLAIN, VALUES, max_size=5))
def test_a_plain_object_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    assert parse_object(orjson.dumps(value)) == value
