"""``/admin/v1/initial-access-tokens``."""

from datetime import datetime, timedelta

import pytest

from tests.answers import check_error
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider
from tests.registration import register, registered
from tests.web.admin import open_admin

PATH = "/initial-access-tokens"


@pytest.fixture
async def guarded(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that wants an initial access token."""
    provider: Provider = await open_providers(sqlite_backend, registration="token")
    return provider


async def test_an_administrator_makes_a_token_that_registers_a_client(guarded: Provider) -> None:
    admin = await open_admin(guarded)
    response = await admin.call("POST", PATH, json={"ttl_seconds": 60, "uses": 1})

    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    made = response.json()
    assert made.keys() == {"id", "token", "uses", "expires_at"}
    left = datetime.fromisoformat(made["expires_at"]) - guarded.clock.now()
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)
    await registered(guarded, token=made["token"])
    check_error(await register(guarded, token=made["token"]), 401, "invalid_token")
    (event,) = await guarded.audit_events("initial_access_token.created")
    assert (event.actor, event.subject) == ("client:the-admin", made["id"])


async def test_defaults_are_one_use_within_a_day(guarded: Provider) -> None:
    admin = await open_admin(guarded)
    made = (await admin.call("POST", PATH, json={})).json()
    assert made["uses"] == 1
    left = datetime.fromisoformat(made["expires_at"]) - guarded.clock.now()
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    assert (await admin.call("POST", PATH, json={"uses": None})).json()["uses"] is None


async def test_a_repetition_gets_the_same_token(guarded: Provider) -> None:
    admin = await open_admin(guarded)
    headers = {"Idempotency-Key": "one"}
    answers = [await admin.call("POST", PATH, json={}, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()


async def test_a_revoked_token_registers_nobody(guarded: Provider) -> None:
    admin = await open_admin(guarded)
    made = (await admin.call("POST", PATH, json={"uses": None})).json()
    assert (await admin.call("DELETE", f"{PATH}/{made['id']}")).status_code == 204
    check_error(await register(guarded, token=made["token"]), 401, "invalid_token")
    for unknown in (made["id"], "x"):
        response = await admin.call("DELETE", f"{PATH}/{unknown}")
        check_error(response, 404, "not_found")
    (event,) = await guarded.audit_events("initial_access_token.revoked")
    assert event.subject == made["id"]


@pytest.mark.parametrize(
    "body",
    [{"uses": 0}, {"uses": "1"}, {"ttl_seconds": 0}, {"ttl_seconds": 1e9}, {"x": 1}],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(guarded: Provider, body: dict[str, object]) -> None:
    admin = await open_admin(guarded)
    check_error(await admin.call("POST", PATH, json=body), 400, "invalid_request")


async def test_only_an_administrator_makes_tokens(guarded: Provider) -> None:
    response = await guarded.http.post(f"/admin/v1{PATH}", json={})
    assert response.status_code == 401
