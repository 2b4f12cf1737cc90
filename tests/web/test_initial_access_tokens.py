"""Who may register a client: the holders of initial access tokens, and administrators."""

import pytest

from tests.answers import check_error
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider
from tests.registration import WEB, client_of, initial_token, register, registered
from tests.web.admin import open_admin


@pytest.fixture
async def guarded(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that wants an initial access token."""
    provider: Provider = await open_providers(sqlite_backend, registration="token")
    return provider


@pytest.mark.parametrize("mode", ["token", "open"])
async def test_with_an_initial_access_token_a_client_may_have_both(
    sqlite_backend: Backend, open_providers: OpenProvider, mode: str
) -> None:
    provider = await open_providers(
        sqlite_backend, registration=mode, registration_scopes="api:read"
    )
    metadata = {
        "grant_types": ["client_credentials"],
        "scope": "api:read api:write",
        "resources": ["https://orders.example"],
    }
    made = await registered(provider, metadata, token=await initial_token(provider))
    assert made["resources"] == metadata["resources"]
    assert made["response_types"] == []
    assert made["scope"] == "api:read"
    response = await provider.token(client_of(made), grant_type="client_credentials")
    assert response.json()["scope"] == "api:read"


async def test_without_a_token_the_challenge_names_no_error(guarded: Provider) -> None:
    response = await register(guarded)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="authsvc"'
    response = await guarded.http.post(
        "/register", json=dict(WEB), headers={"Authorization": "Basic eDp5"}
    )
    assert response.headers["www-authenticate"] == 'Bearer realm="authsvc"'


@pytest.mark.parametrize("mode", ["token", "open"])
@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 4_000, "e" * 43])
async def test_a_token_that_is_sent_must_be_good(
    sqlite_backend: Backend, open_providers: OpenProvider, mode: str, token: str
) -> None:
    provider = await open_providers(sqlite_backend, registration=mode)
    response = await register(provider, token=token)
    check_error(response, 401, "invalid_token")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_malformed_authorization_is_a_bad_request(guarded: Provider) -> None:
    response = await guarded.http.post(
        "/register", json=dict(WEB), headers={"Authorization": "Bearer a b"}
    )
    check_error(response, 400, "invalid_request")
    token = await initial_token(guarded)
    response = await guarded.http.post(f"/register?access_token={token}", json=dict(WEB))
    assert response.status_code == 401


async def test_an_initial_access_token_is_good_for_its_number_of_uses(
    backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(backend, registration="token")
    token = await initial_token(provider, uses=2)
    unlimited = await initial_token(provider, uses=None)

    for _ in range(2):
        await registered(provider, token=token)

    check_error(await register(provider, token=token), 401, "invalid_token")
    for _ in range(3):
        await registered(provider, token=unlimited)


async def test_an_initial_access_token_expires(guarded: Provider) -> None:
    token = await initial_token(guarded, uses=None, seconds=60)
    await registered(guarded, token=token)
    guarded.clock.move(seconds=61)
    check_error(await register(guarded, token=token), 401, "invalid_token")


async def test_a_registration_that_is_refused_uses_no_token_up(guarded: Provider) -> None:
    token = await initial_token(guarded)
    for _ in range(2):
        response = await register(guarded, {"redirect_uris": ["x"]}, token=token)
        check_error(response, 400, "invalid_redirect_uri")
    await registered(guarded, token=token)


async def test_an_administrator_registers_with_an_access_token(guarded: Provider) -> None:
    admin = await open_admin(guarded)
    made = await registered(guarded, token=admin.token)

    (event,) = [e for e in await guarded.audit_events() if e.subject == made["client_id"]]
    assert (event.event, event.actor) == ("client.created", "client:the-admin")
    client = await guarded.create_client()
    response = await guarded.token(client, grant_type="client_credentials")
    refused = await register(guarded, token=response.json()["access_token"])
    check_error(refused, 403, "insufficient_scope")
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


async def test_the_audit_log_tells_who_registered(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, registration="open")
    stranger = await registered(provider)
    holder = await registered(provider, token=await initial_token(provider))

    (issued,) = await provider.audit_events("initial_access_token.created")
    actors = {e.subject: e.actor for e in await provider.audit_events("client.created")}
    assert actors[stranger["client_id"]] == "anonymous"
    assert actors[holder["client_id"]] == f"initial_access_token:{issued.subject}"
