"""Keys, sessions and the audit log over the admin API, on every backend."""

import pytest

from tests.provider import SECRET, Provider, TestClient, header_of
from tests.tampering import tamper
from tests.web.admin import Admin, client_token, open_admin


@pytest.fixture
async def admin(provider: Provider) -> Admin:
    return await open_admin(provider)


async def test_keys_are_listed_without_their_private_part(admin: Admin) -> None:
    pages = await admin.pages("/keys", 3)

    keys = [key for page in pages for key in page]
    assert [len(page) for page in pages] == [3, 3, 2]
    assert len({key["kid"] for key in keys}) == 8
    assert {(key["alg"], key["state"]) for key in keys} >= {("ES256", "active"), ("RS256", "next")}
    assert set(keys[0]) == {
        "kid", "alg", "state", "created_at", "usable_at", "activated_at", "retired_at",
        "revoked_at",
    }  # fmt: skip
    assert await admin.get(f"/keys/{keys[0]['kid']}") == keys[0]


async def test_keys_are_rotated_generated_retired_and_revoked(
    admin: Admin, provider: Provider
) -> None:
    signs = header_of(admin.token)["kid"]

    rotated = (await admin.call("POST", "/keys/rotate")).json()
    by_alg = {outcome["alg"]: outcome for outcome in rotated["items"]}
    generated = await admin.call("POST", "/keys/generate", json={"alg": "EdDSA"})
    retired = await admin.call("POST", f"/keys/{generated.json()['kid']}/retire")
    revoked = await admin.call("POST", f"/keys/{by_alg['ES256']['active']}/revoke")

    assert by_alg["ES256"]["retired"] == signs
    assert (await admin.get(f"/keys/{signs}"))["state"] == "retired"
    assert generated.status_code == 201
    assert generated.headers["location"] == f"/admin/v1/keys/{generated.json()['kid']}"
    assert (generated.json()["alg"], generated.json()["state"]) == ("EdDSA", "next")
    assert retired.json()["state"] == "retired"
    assert revoked.json()["state"] == "revoked"
    conflict = await admin.call("POST", f"/keys/{by_alg['ES256']['active']}/retire")
    assert conflict.status_code == 409
    token = await client_token(provider, TestClient("the-admin", SECRET, {}))
    assert header_of(token)["kid"] not in (signs, by_alg["ES256"]["active"])


async def test_an_algorithm_or_key_that_is_none_is_refused(admin: Admin) -> None:
    for alg in ("HS256", "none", "", None, 5):
        response = await admin.call("POST", "/keys/generate", json={"alg": alg})
        assert response.status_code == 400, alg
    for action in ("retire", "revoke"):
        assert (await admin.call("POST", f"/keys/nothing/{action}")).status_code == 404


async def test_a_session_is_listed_and_ended_with_its_tokens(
    admin: Admin, provider: Provider
) -> None:
    client = await provider.create_client()
    ada, bob = await provider.create_user(), await provider.create_user()
    tokens = await provider.sign_in(client, ada, scope="openid")
    await provider.sign_in(client, bob)

    assert len((await admin.get("/sessions"))["items"]) == 2
    [session] = (await admin.get("/sessions", user=ada.id))["items"]
    path = f"/sessions/{session['id']}"
    assert session["user_id"] == ada.id
    assert await admin.get(path) == session
    assert (await admin.call("DELETE", path)).status_code == 204

    assert (await provider.userinfo(tokens["access_token"])).status_code == 401
    assert (await admin.get("/sessions", user=ada.id))["items"] == []
    assert (await admin.call("GET", path)).status_code == 404
    assert (await admin.call("DELETE", path)).status_code == 404
    [event] = await provider.audit_events("session.ended")
    assert (event.actor, event.subject) == ("client:the-admin", ada.id)
    assert event.details == {"session": session["id"]}


async def test_sessions_of_what_is_no_user_id_are_a_bad_request(admin: Admin) -> None:
    assert (await admin.call("GET", "/sessions", params={"user": "ada"})).status_code == 400


async def test_the_audit_log_is_listed_newest_first_and_filtered(admin: Admin) -> None:
    users = [(await admin.create_user(f"user{number}"))["id"] for number in range(5)]

    pages = await admin.pages("/audit", 2)

    events = [event for page in pages for event in page]
    assert [event["id"] for event in events] == sorted(
        (event["id"] for event in events), reverse=True
    )
    created = await admin.get("/audit", event="user.created")
    assert [event["subject"] for event in created["items"]] == users[::-1]
    assert (await admin.get("/audit", event="nothing"))["items"] == []


async def test_the_audit_log_is_verified(admin: Admin, provider: Provider) -> None:
    await admin.create_user("ada")
    whole = (await admin.call("POST", "/audit/verify")).json()
    assert whole["valid"] is True
    assert whole["checked"] > 0

    tamper(
        provider.settings.database_url,
        "UPDATE audit_events SET actor = 'nobody' WHERE event = 'user.created'",
    )

    altered = (await admin.call("POST", "/audit/verify")).json()
    assert altered["valid"] is False
    assert altered["problem"] == "this event was changed"
    [event] = await provider.audit_events("user.created")
    assert altered["event_id"] == event.id
