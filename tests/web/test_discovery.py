"""Discovery: what is listed works, and what is not listed is refused."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from authsvc.protocol.errors import OAuthError
from tests.answers import approve, log_in
from tests.client_keys import public_jwk
from tests.provider import VERIFIER, Provider

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
ALL_GRANTS = [
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "password",
    "implicit",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
]
ALL_AUTH_METHODS = [
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
]
ALL_ALGORITHMS = ["none", "HS256", "ES256", "ES384", "RS256", "RS512", "PS256", "EdDSA"]
ALL_RESPONSE_MODES = ["query", "form_post", "fragment", "jwt", "query.jwt", "web_message"]
ALL_PROMPTS = ["none", "login", "consent", "select_account", "create"]


async def metadata_of(provider: Provider) -> dict[str, Any]:
    """Return what the provider says of itself."""
    response = await provider.http.get(OPENID)
    assert response.status_code == 200
    metadata: dict[str, Any] = response.json()
    return metadata


async def refusal_of(provider: Provider, **metadata: Any) -> str | None:
    """Return the code with which a registration is refused, None when it is not."""
    try:
        await provider.create_client(**metadata)
    except OAuthError as error:
        return error.error
    return None


async def test_both_documents_are_the_same_and_may_be_cached(provider: Provider) -> None:
    one, other = await provider.http.get(OPENID), await provider.http.get(OAUTH)
    assert one.content == other.content
    for response in (one, other):
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "public, max-age=300"
    assert one.json()["issuer"] == provider.settings.issuer


async def test_the_validators_of_authlib_accept_the_document(sqlite_provider: Provider) -> None:
    metadata = {
        name: value.replace("http:", "https:") if isinstance(value, str) else value
        for name, value in (await metadata_of(sqlite_provider)).items()
    }
    AuthorizationServerMetadata(metadata).validate()
    OpenIDProviderMetadata(metadata).validate()


@pytest.mark.parametrize("path", [OPENID, OAUTH, "/jwks"])
async def test_what_has_not_changed_is_not_sent_again(sqlite_provider: Provider, path: str) -> None:
    http = sqlite_provider.http
    first = await http.get(path)
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await http.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b""), known
        assert response.headers["etag"] == etag
        assert response.headers["cache-control"] == first.headers["cache-control"]
    response = await http.get(path, headers={"If-None-Match": '"other"'})
    assert response.status_code == 200
    head = await http.head(path)
    assert (head.status_code, head.content) == (200, b"")


async def test_the_keys_are_public_and_named(sqlite_provider: Provider) -> None:
    response = await sqlite_provider.http.get("/jwks")
    assert response.headers["content-type"] == "application/jwk-set+json"
    keys = response.json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys) >= 4
    assert {key["alg"] for key in keys} == {"ES256", "RS256", "PS256", "EdDSA"}
    public = {"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"}
    for key in keys:
        assert key.keys() <= public
        assert key["use"] == "sig"


async def test_every_endpoint_listed_is_there_under_the_issuer(
    sqlite_provider: Provider,
) -> None:
    metadata = await metadata_of(sqlite_provider)
    uris = [metadata[name] for name in metadata if name.endswith(("_endpoint", "jwks_uri"))]
    assert len(uris) == 7
    for uri in uris:
        assert uri.startswith(f"{metadata['issuer']}/")
        response = await sqlite_provider.http.get(urlsplit(uri).path)
        assert response.status_code in (200, 400, 401, 405)


@pytest.mark.parametrize(
    "name",
    [
        "registration_endpoint",
        "pushed_authorization_request_endpoint",
        "device_authorization_endpoint",
        "check_session_iframe",
        "backchannel_logout_supported",
        "frontchannel_logout_supported",
        "dpop_signing_alg_values_supported",
        "tls_client_certificate_bound_access_tokens",
        "id_token_encryption_alg_values_supported",
        "request_object_signing_alg_values_supported",
    ],
)
async def test_what_is_not_built_is_not_listed(sqlite_provider: Provider, name: str) -> None:
    assert name not in await metadata_of(sqlite_provider)


@pytest.mark.parametrize("grant", ALL_GRANTS)
async def test_a_grant_works_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, grant: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    answer = await sqlite_provider.authorize(
        sqlite_provider.browser(), client, await sqlite_provider.create_user()
    )
    response = await sqlite_provider.token(
        client,
        grant_type=grant,
        refresh_token=tokens["refresh_token"],
        code=answer["code"] if grant == "authorization_code" else None,
        redirect_uri=client.metadata["redirect_uris"][0],
        code_verifier=VERIFIER,
        username="x",
        password="x",
        assertion="x",
        device_code="x",
        subject_token=tokens["access_token"],
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    if grant in metadata["grant_types_supported"]:
        assert response.status_code == 200, response.text
    else:
        assert response.json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("method", ALL_AUTH_METHODS)
async def test_a_method_can_be_registered_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, method: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    listed = method in metadata["token_endpoint_auth_methods_supported"]
    assert listed == (method in metadata["revocation_endpoint_auth_methods_supported"])
    asking = metadata["introspection_endpoint_auth_methods_supported"]
    assert (method in asking) == (listed and method != "none")
    jwks = {"keys": [public_jwk("ES256")]} if method.endswith("key_jwt") else None
    refusal = await refusal_of(sqlite_provider, token_endpoint_auth_method=method, jwks=jwks)
    assert refusal == (None if listed else "invalid_client_metadata")


@pytest.mark.parametrize("alg", ALL_ALGORITHMS)
async def test_an_algorithm_can_be_registered_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, alg: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    for member, listing in (
        ("id_token_signed_response_alg", "id_token_signing_alg_values_supported"),
        (
            "token_endpoint_auth_signing_alg",
            "token_endpoint_auth_signing_alg_values_supported",
        ),
    ):
        listed = alg in metadata[listing]
        refusal = await refusal_of(sqlite_provider, **{member: alg})
        assert refusal == (None if listed else "invalid_client_metadata")


@pytest.mark.parametrize("mode", ALL_RESPONSE_MODES)
async def test_a_response_mode_works_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, mode: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, response_mode=mode, prompt="none")
    page = await browser.get("/authorize", parameters)
    answer = (
        page.forms[0].fields if page.forms else sqlite_provider.answer_in(browser.left_for or "")
    )
    listed = mode in metadata["response_modes_supported"]
    assert answer["error"] == ("login_required" if listed else "invalid_request")


@pytest.mark.parametrize("prompt", ALL_PROMPTS)
async def test_a_prompt_works_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, prompt: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    client, account = await sqlite_provider.create_client(), await sqlite_provider.create_user()
    browser = sqlite_provider.browser()
    await sqlite_provider.authorize(browser, client, account)
    page = await browser.get(
        "/authorize", sqlite_provider.authorization_parameters(client, prompt=prompt)
    )
    if browser.left_for is None:
        page = await log_in(browser, page, account) if page.has("#login-submit") else page
    if browser.left_for is None:
        await approve(browser, page)
    answer = sqlite_provider.answer_in(browser.left_for or "")
    assert ("code" in answer) == (prompt in metadata["prompt_values_supported"])


async def test_the_scopes_and_claims_listed_are_the_ones_that_are_told(
    sqlite_provider: Provider,
) -> None:
    metadata = await metadata_of(sqlite_provider)
    scope = " ".join(metadata["scopes_supported"])
    client = await sqlite_provider.create_client(scope=scope)
    account = await sqlite_provider.create_user(
        email="a@example.com", claims={"name": "A", "phone_number": "+1"}
    )
    tokens = await sqlite_provider.sign_in(client, account, scope=scope)
    assert tokens["scope"] == scope
    told = (await sqlite_provider.userinfo(tokens["access_token"])).json()
    assert told.keys() <= set(metadata["claims_supported"])
    assert {"name", "email", "phone_number", "sub"} <= told.keys()


async def test_the_rest_of_the_document_says_what_the_service_does(
    sqlite_provider: Provider,
) -> None:
    metadata = await metadata_of(sqlite_provider)
    expected = {
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "code_challenge_methods_supported": ["S256"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
        "claim_types_supported": ["normal"],
    }
    assert {name: metadata[name] for name in expected} == expected
