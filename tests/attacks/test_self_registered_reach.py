"""What a client that registered itself learns of people and of others' tokens."""

import orjson
import pytest

from authsvc.storage.consents import save_consent
from tests.answers import approve, log_in
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider, claims_of
from tests.registration import WEB, client_of, registered


@pytest.fixture
async def opened(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that lets strangers register clients."""
    provider: Provider = await open_providers(sqlite_backend, registration="open")
    return provider


async def test_a_client_that_registered_itself_gets_no_claim_that_its_scopes_do_not_reach(
    opened: Provider,
) -> None:
    client = client_of(await registered(opened, {**WEB, "scope": "openid email"}))
    account = await opened.create_user(
        email="a@person.example", claims={"ssn": "123", "phone_number": "+1", "nickname": "Ann"}
    )
    wanted = dict.fromkeys(("ssn", "phone_number", "nickname", "email", "unknown"))
    claims = orjson.dumps({"userinfo": wanted, "id_token": wanted}).decode()
    browser = opened.browser()
    page = await browser.get(
        "/authorize", opened.authorization_parameters(client, scope="openid", claims=claims)
    )
    assert page.has("#login-submit")
    tokens = await opened.sign_in(client, account, browser, scope="openid", claims=claims)

    told = (await opened.userinfo(tokens["access_token"])).json()
    assert told == {"sub": account.id, "email": "a@person.example"}
    for token in (tokens["id_token"], tokens["access_token"]):
        told = claims_of(token)
        assert not {"ssn", "phone_number", "nickname", "unknown"} & told.keys()
        assert told.get("userinfo_claims", ["email"]) == ["email"]
    assert claims_of(tokens["id_token"])["email"] == "a@person.example"


async def test_a_client_that_registered_itself_learns_of_its_own_tokens_alone(
    opened: Provider,
) -> None:
    account = await opened.create_user()
    own = client_of(await registered(opened))
    twin, trusted = client_of(await registered(opened)), await opened.create_client()
    mine = (await opened.sign_in(own, account, scope="openid"))["access_token"]
    assert (await opened.introspect(own, mine))["active"] is True
    for other in (twin, trusted):
        tokens = await opened.sign_in(other, account)
        assert await opened.introspect(own, tokens["access_token"]) == {"active": False}
        if "refresh_token" in tokens:
            assert await opened.introspect(own, tokens["refresh_token"]) == {"active": False}
    machine = (await opened.token(trusted, grant_type="client_credentials")).json()
    assert await opened.introspect(own, machine["access_token"]) == {"active": False}
    # Whom an administrator trusts is a resource server.
    assert (await opened.introspect(trusted, mine))["active"] is True


async def test_a_client_that_registered_itself_never_governs_this_service(
    opened: Provider,
) -> None:
    await opened.create_role("boss", "authsvc:admin", "orders:delete")
    account = await opened.create_user(roles=["boss"])
    client = client_of(await registered(opened))
    browser = opened.browser()
    page = await browser.get("/authorize", opened.authorization_parameters(client, scope="openid"))
    page = await log_in(browser, page, account)
    assert page.has("#consent-approve")
    assert "authsvc:admin" not in page.text

    await approve(browser, page)
    # Not even where the note says so, of a client of an administrator's that had its name.
    async with opened.resources.database.transaction() as tx:
        await save_consent(
            tx, account.id, client.client_id, frozenset({"authsvc:admin"}), now=opened.clock.now()
        )
    tokens = await opened.sign_in(client, account, browser, scope="openid")

    assert "authsvc:admin" not in claims_of(tokens["access_token"])["permissions"]
    response = await opened.http.get(
        "/admin/v1/users", headers={"Authorization": f"Bearer {tokens['access_token']}"}
    )
    assert response.status_code == 403
