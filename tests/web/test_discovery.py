"""Discovery: what is listed works, and what is not listed is refused."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from authsvc.oauth.metadata import build_metadata, check_metadata
from authsvc.protocol.claims import STANDARD_CLAIMS
from authsvc.protocol.errors import OAuthError
from tests.answers import approve, log_in
from tests.client_keys import public_jwk
from tests.conftest import Backend, OpenProvider
from tests.encryption_keys import KEYS, encryption_jwk
from tests.front_channel import FRONT_CHANNEL
from tests.provider import VERIFIER, Provider, claims_of

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


ENDPOINTS = {
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "introspection_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
    "end_session_endpoint",
    "check_session_iframe",
}
SETTINGS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"registration": "token"}, {"registration_endpoint"}),
    ({"registration": "open"}, {"registration_endpoint"}),
    ({"implicit_flow": True, "hybrid_flow": True}, set()),
    ({"issuer": "https://login.example/tenant", "registration": "open"}, {"registration_endpoint"}),
]


@pytest.mark.parametrize(("settings", "more"), SETTINGS)
async def test_every_endpoint_listed_is_there_under_the_issuer(
    sqlite_backend: Backend,
    open_providers: OpenProvider,
    settings: dict[str, Any],
    more: set[str],
) -> None:
    provider: Provider = await open_providers(sqlite_backend, **settings)
    path = "/.well-known/openid-configuration"
    base = urlsplit(provider.settings.issuer).path
    metadata = (await provider.http.get(f"{provider.settings.origin}{base}{path}")).json()
    check_metadata(metadata)
    named = {
        name for name in metadata if name.endswith(("_endpoint", "jwks_uri", "session_iframe"))
    }
    assert named == ENDPOINTS | more
    for name in named:
        assert metadata[name].startswith(f"{metadata['issuer']}/")
        response = await provider.http.get(metadata[name])
        assert response.status_code in (200, 400, 401, 405), name
    for prefix in ("/register", "/register/c"):
        response = await provider.http.post(f"{metadata['issuer']}{prefix}", json={})
        assert (response.status_code == 404) == ("registration_endpoint" not in named)


@pytest.mark.parametrize(
    "name",
    [
        "registration_endpoint",
        "pushed_authorization_request_endpoint",
        "backchannel_authentication_endpoint",
        "mtls_endpoint_aliases",
        "dpop_signing_alg_values_supported",
        "tls_client_certificate_bound_access_tokens",
        "request_object_encryption_alg_values_supported",
        "request_object_encryption_enc_values_supported",
        "introspection_signing_alg_values_supported",
        "authorization_signing_alg_values_supported",
        "authorization_details_types_supported",
    ],
)
async def test_what_is_not_built_or_turned_off_is_not_listed(
    sqlite_provider: Provider, name: str
) -> None:
    assert name not in await metadata_of(sqlite_provider)


@pytest.mark.parametrize("grant", ALL_GRANTS)
async def test_a_grant_works_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, grant: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    client = await sqlite_provider.create_client(grant_types=metadata["grant_types_supported"])
    started = await sqlite_provider.http.post(
        "/device_authorization", data={"scope": "openid"}, auth=client.auth or ("", "")
    )
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
        device_code=started.json()["device_code"],
        subject_token=tokens["access_token"],
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    if grant.endswith("device_code"):
        # Nobody has entered the user code yet.
        assert grant in metadata["grant_types_supported"]
        assert response.json()["error"] == "authorization_pending"
    elif grant in metadata["grant_types_supported"]:
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
@pytest.mark.parametrize(
    ("member", "listing"),
    [
        ("id_token_signed_response_alg", "id_token_signing_alg_values_supported"),
        ("userinfo_signed_response_alg", "userinfo_signing_alg_values_supported"),
        ("request_object_signing_alg", "request_object_signing_alg_values_supported"),
        ("token_endpoint_auth_signing_alg", "token_endpoint_auth_signing_alg_values_supported"),
        (
            "token_endpoint_auth_signing_alg",
            "introspection_endpoint_auth_signing_alg_values_supported",
        ),
        (
            "token_endpoint_auth_signing_alg",
            "revocation_endpoint_auth_signing_alg_values_supported",
        ),
    ],
)
async def test_an_algorithm_can_be_registered_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, alg: str, member: str, listing: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    method = "client_secret_jwt" if alg.startswith("HS") else "private_key_jwt"
    refusal = await refusal_of(
        sqlite_provider,
        **{member: alg},
        token_endpoint_auth_method=method,
        jwks={"keys": [public_jwk("ES256")]},
    )
    assert refusal == (None if alg in metadata[listing] else "invalid_client_metadata")


@pytest.mark.parametrize("what", ["id_token", "userinfo"])
@pytest.mark.parametrize("alg", [*KEYS, "RSA1_5", "dir", "A128KW", "ECDH-ES+A192KW"])
async def test_an_encryption_can_be_registered_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, what: str, alg: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    keys = [encryption_jwk(alg if alg in KEYS else "RSA-OAEP"), encryption_jwk("ECDH-ES+A128KW", 1)]
    member = f"{what}_encrypted_response_alg"
    refusal = await refusal_of(sqlite_provider, **{member: alg}, jwks={"keys": keys})
    listed = alg in metadata[f"{what}_encryption_alg_values_supported"]
    assert refusal == (None if listed else "invalid_client_metadata")
    for enc in ("A128CBC-HS256", "A128GCM", "A192GCM", "A256GCM", "A256CBC-HS512", "XC20P"):
        if not listed:
            break
        more = {f"{what}_encrypted_response_enc": enc}
        refusal = await refusal_of(sqlite_provider, **{member: alg}, **more, jwks={"keys": keys})
        named = enc in metadata[f"{what}_encryption_enc_values_supported"]
        assert refusal == (None if named else "invalid_client_metadata")


@pytest.mark.parametrize(("settings", "_more"), SETTINGS[:4])
async def test_a_response_type_can_be_registered_if_and_only_if_it_is_listed(
    sqlite_backend: Backend, open_providers: OpenProvider, settings: dict[str, Any], _more: set[str]
) -> None:
    provider: Provider = await open_providers(sqlite_backend, **settings)
    metadata = await metadata_of(provider)
    for response_type in (*FRONT_CHANNEL["response_types"], "token", "none"):
        words = set(response_type.split())
        grants = ["authorization_code"] if "code" in words else []
        grants += ["implicit"] if words & {"id_token", "token"} else []
        refusal = await refusal_of(provider, grant_types=grants, response_types=[response_type])
        listed = response_type in metadata["response_types_supported"]
        assert refusal == (None if listed else "invalid_client_metadata"), response_type
        assert set(grants) <= set(metadata["grant_types_supported"]) or not listed


@pytest.mark.parametrize("subject_type", ["public", "pairwise", "ephemeral"])
async def test_a_subject_type_can_be_registered_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, subject_type: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    refusal = await refusal_of(sqlite_provider, subject_type=subject_type)
    listed = subject_type in metadata["subject_types_supported"]
    assert refusal == (None if listed else "invalid_client_metadata")


@pytest.mark.parametrize("mode", ALL_RESPONSE_MODES)
async def test_a_response_mode_works_if_and_only_if_it_is_listed(
    sqlite_provider: Provider, mode: str
) -> None:
    metadata = await metadata_of(sqlite_provider)
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, response_mode=mode, prompt="none")
    page = await browser.get("/authorize", parameters)
    location = browser.left_for or ""
    answer = (
        page.forms[0].fields if page.forms else dict(parse_qsl(location.split("/callback")[1][1:]))
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
    if page.has("#account-continue"):
        (href,) = re.findall(r'href="([^"]+)" id="account-continue"', page.text)
        page = await browser.get(unescape(href))
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
        "code_challenge_methods_supported": ["S256"],
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": True,
        "require_request_uri_registration": True,
        "require_signed_request_object": False,
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
        "claim_types_supported": ["normal"],
    }
    assert {name: metadata[name] for name in expected} == expected


async def test_the_acr_listed_is_the_one_that_is_answered(sqlite_provider: Provider) -> None:
    metadata = await metadata_of(sqlite_provider)
    client = await sqlite_provider.create_client()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    claims = claims_of(tokens["id_token"])
    assert [claims["acr"]] == metadata["acr_values_supported"]
    assert claims.keys() <= set(metadata["claims_supported"])


async def test_every_standard_claim_is_listed(sqlite_provider: Provider) -> None:
    metadata = await metadata_of(sqlite_provider)
    assert STANDARD_CLAIMS.keys() <= set(metadata["claims_supported"])


async def test_wrong_metadata_stops_the_start(
    sqlite_backend: Backend, open_providers: OpenProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*wired: Any) -> dict[str, Any]:
        return {**build_metadata(*wired), "subject_types_supported": ["unheard of"]}

    monkeypatch.setattr("authsvc.app.build_metadata", build)
    with pytest.raises(ValueError, match="subject_types_supported"):
        await open_providers(sqlite_backend)
