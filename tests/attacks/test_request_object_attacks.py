"""What somebody would try on request objects: to forge one, to bend one, to reuse something else.

RFC 9101 §10, RFC 8725 §2.
"""

import hashlib
import hmac
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization

from tests.answers import check_error, check_error_page
from tests.client_keys import (
    assertion_parameters,
    claims_for,
    encode,
    private_key,
    public_jwk,
    sign,
)
from tests.front_channel import go_on, query_in, visit
from tests.provider import REDIRECT_URI, SECRET, Provider, TestClient, claims_of
from tests.request_objects import claims_inside, client_with_keys, outside, signed, unsigned


async def refused(
    provider: Provider, client: TestClient, jwt: str, code: str = "invalid_request_object"
) -> None:
    """Hold the answer to an error that tells nothing else."""
    browser = provider.browser()
    await visit(provider, browser, client, request=jwt)
    answer = query_in(provider, browser)
    assert answer["error"] == code
    assert "code" not in answer


def with_mac(claims: dict[str, Any], key: bytes, alg: str = "HS256", **header: Any) -> str:
    """Return the claims with a MAC, as an attacker makes it out of public things."""
    head = encode(orjson.dumps({"alg": alg, **header}))
    signing_input = f"{head}.{encode(orjson.dumps(claims))}"
    mac = hmac.new(key, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{encode(mac)}"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 5, ["none"], "HS256"])
@pytest.mark.parametrize("registered", [None, "ES256"])
async def test_no_signature_is_not_taken_for_one(
    sqlite_provider: Provider, alg: Any, registered: str | None
) -> None:
    client = await client_with_keys(sqlite_provider, request_object_signing_alg=registered)
    claims = claims_inside(sqlite_provider, client)
    signature = signed(claims).rpartition(".")[2]
    for end in ("", signature, "AAAA"):
        await refused(sqlite_provider, client, unsigned(claims, alg=alg) + end)


@pytest.mark.parametrize("alg", ["none", "None"])
async def test_a_client_that_registered_none_says_so_for_unsigned_requests_alone(
    sqlite_provider: Provider, alg: str
) -> None:
    client = await sqlite_provider.create_client(request_object_signing_alg="none")
    claims = claims_inside(sqlite_provider, client)
    forged = with_mac(claims, SECRET.encode(), alg)
    await refused(sqlite_provider, client, forged)


async def test_a_public_key_is_no_secret(sqlite_provider: Provider) -> None:
    """RFC 8725 §2.1: the RSA key that verifies, used as the key of a MAC."""
    client = await client_with_keys(sqlite_provider, "RS256")
    public = private_key("RS256").public_key()
    jwk = public_jwk("RS256")
    claims = claims_inside(sqlite_provider, client)
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    for key in (
        public.public_bytes(serialization.Encoding.PEM, info),
        public.public_bytes(serialization.Encoding.DER, info),
        orjson.dumps(jwk),
        jwk["n"].encode(),
        SECRET.encode(),
        b"",
    ):
        for alg in ("HS256", "RS256"):
            await refused(sqlite_provider, client, with_mac(claims, key, alg, kid=jwk["kid"]))


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": public_jwk("ES256", 1)},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"crit": ["exp"], "exp": 1},
        {"b64": False},
    ],
)
async def test_a_key_that_comes_along_is_not_used(
    sqlite_provider: Provider, header: dict[str, Any]
) -> None:
    client = await client_with_keys(sqlite_provider)
    claims = claims_inside(sqlite_provider, client)
    for kid in (None, "ES256-0", "ES256-1"):
        forged = sign(claims, "ES256", 1, kid=kid, typ="JWT", **header)
        await refused(sqlite_provider, client, forged)


async def test_the_request_of_one_client_is_not_that_of_another(sqlite_provider: Provider) -> None:
    """Both have a key by one name: it is the client that says which one counts."""
    one = await client_with_keys(sqlite_provider, jwks={"keys": [public_jwk("ES256", kid="k")]})
    two = await client_with_keys(sqlite_provider, jwks={"keys": [public_jwk("ES256", 1, kid="k")]})
    of_one = signed(claims_inside(sqlite_provider, one), kid="k")
    of_two_for_one = signed(claims_inside(sqlite_provider, one), number=1, kid="k")
    anonymous = signed(claims_inside(sqlite_provider, one, iss=None, client_id=None), kid="k")
    await refused(sqlite_provider, two, of_one)
    await refused(sqlite_provider, two, anonymous)
    await refused(sqlite_provider, one, of_two_for_one)
    same_key = await client_with_keys(
        sqlite_provider, jwks={"keys": [public_jwk("ES256", kid="k")]}
    )
    await refused(sqlite_provider, same_key, of_one)


async def test_an_assertion_is_no_request_and_a_request_is_no_assertion(
    sqlite_provider: Provider,
) -> None:
    """RFC 9101 §10.8."""
    client = await client_with_keys(sqlite_provider, token_endpoint_auth_method="private_key_jwt")
    headers: list[dict[str, Any]] = [{}, {"typ": "JWT"}, {"typ": "client-authentication+jwt"}]
    for header in headers:
        await refused(
            sqlite_provider, client, sign(claims_for(client.client_id), "ES256", **header)
        )
    now = claims_for(client.client_id)
    timed = {name: now[name] for name in ("exp", "iat", "jti")}
    for header in headers[:2]:
        request = signed(claims_inside(sqlite_provider, client, **timed), **header)
        response = await sqlite_provider.http.post(
            "/token", data={"grant_type": "client_credentials", **assertion_parameters(request)}
        )
        check_error(response, 401, "invalid_client")


async def test_tokens_of_the_provider_are_no_request_objects(sqlite_provider: Provider) -> None:
    client = await client_with_keys(
        sqlite_provider, request_object_signing_alg="RS256", userinfo_signed_response_alg="RS256"
    )
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user())
    userinfo = (await sqlite_provider.userinfo(tokens["access_token"])).text
    for token in (tokens["id_token"], tokens["access_token"], userinfo):
        await refused(sqlite_provider, client, token)


async def test_an_encrypted_request_object_is_refused(sqlite_provider: Provider) -> None:
    client = await client_with_keys(sqlite_provider)
    header = encode(b'{"alg":"RSA-OAEP","enc":"A128GCM","cty":"JWT"}')
    await refused(sqlite_provider, client, f"{header}.AAAA.AAAA.AAAA.AAAA")


INJECTED = {
    "redirect_uri": "https://app.example/other",
    "response_mode": "query",
    "scope": "openid email api:write",
    "prompt": "none",
    "max_age": "0",
    "nonce": "the-nonce-of-the-attacker",
    "state": "the-state-of-the-attacker",
    "code_challenge": "A" * 43,
    "resource": "https://evil.example",
    "claims": '{"userinfo":{"email":null}}',
}


@pytest.mark.parametrize("name", INJECTED)
async def test_nothing_from_outside_replaces_what_is_signed(
    sqlite_provider: Provider, name: str
) -> None:
    client = await client_with_keys(
        sqlite_provider, redirect_uris=[REDIRECT_URI, "https://app.example/other"]
    )
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    signed_claims = claims_inside(
        sqlite_provider,
        client,
        scope="openid",
        response_mode="form_post",
        prompt="consent",
        max_age=600,
        claims={"userinfo": {"name": None}},
    )
    jwt = signed(signed_claims)
    if name == "resource":
        # Not in the signed request; what is outside counts, and is checked like any other.
        await visit(sqlite_provider, browser, client, request=jwt, resource=INJECTED[name])
        page = await visit(sqlite_provider, browser, client, request=jwt, resource=INJECTED[name])
        assert page.forms[0].fields["error"] == "invalid_target"
        return
    page = await visit(sqlite_provider, browser, client, request=jwt, **{name: INJECTED[name]})
    assert page.has("#login-submit")
    page = await go_on(browser, page, account)
    (form,) = page.forms
    assert form.action == REDIRECT_URI
    assert form.fields["state"] == "the-state"
    tokens = (await sqlite_provider.redeem(client, form.fields["code"])).json()
    assert tokens["scope"] == "openid"
    assert claims_of(tokens["id_token"])["nonce"] == "the-nonce"
    assert claims_of(tokens["access_token"])["userinfo_claims"] == ["name"]


@pytest.mark.parametrize("name", [name for name in INJECTED if name != "scope"])
async def test_nothing_at_all_is_added_to_a_request_that_must_be_signed(
    sqlite_provider: Provider, name: str
) -> None:
    client = await client_with_keys(
        sqlite_provider,
        require_signed_request_object=True,
        redirect_uris=[REDIRECT_URI, "https://app.example/other"],
    )
    account, browser = await sqlite_provider.create_user(), sqlite_provider.browser()
    jwt = signed(claims_inside(sqlite_provider, client, scope="openid", nonce=None, state=None))
    page = await visit(
        sqlite_provider, browser, client, request=jwt, **{"nonce": "x", name: INJECTED[name]}
    )
    assert page.has("#login-submit")
    await go_on(browser, page, account)
    assert (browser.left_for or "").startswith(f"{REDIRECT_URI}?")
    answer = query_in(sqlite_provider, browser)
    assert "state" not in answer
    tokens = (await sqlite_provider.redeem(client, answer["code"])).json()
    assert "nonce" not in claims_of(tokens["id_token"])
    assert "userinfo_claims" not in claims_of(tokens["access_token"])


@pytest.mark.parametrize(
    ("inside", "sent"),
    [("form_post", "query"), ("form_post", "fragment"), ("fragment", "query")],
)
async def test_a_response_mode_that_is_signed_is_not_turned_down(
    sqlite_provider: Provider, inside: str, sent: str
) -> None:
    client, browser = await client_with_keys(sqlite_provider), sqlite_provider.browser()
    jwt = signed(claims_inside(sqlite_provider, client, response_mode=inside, prompt="none"))
    page = await visit(sqlite_provider, browser, client, request=jwt, response_mode=sent)
    if inside == "form_post":
        assert page.forms[0].fields["error"] == "login_required"
    else:
        assert (browser.left_for or "").startswith(f"{REDIRECT_URI}#")


@pytest.mark.parametrize("depth", [50, 260, 600, 2_000])
async def test_deep_json_inside_is_an_error_and_no_crash(
    sqlite_provider: Provider, depth: int
) -> None:
    client = await client_with_keys(sqlite_provider, request_object_signing_alg="none")
    claims = orjson.dumps(claims_inside(sqlite_provider, client, prompt="none"))
    deep = claims[:-1] + b',"claims":{"x":' + b"[" * depth + b"]" * depth + b"}}"
    head = unsigned({}).partition(".")[0]
    browser = sqlite_provider.browser()
    page = await visit(
        sqlite_provider, browser, client, request=f"{head}.{encode(deep)}.", **outside(client)
    )
    assert page.status < 500
    if browser.left_for is None:
        check_error_page(browser, page, 400, "invalid_request_object")
    else:
        assert query_in(sqlite_provider, browser)["error"] == "login_required"


async def test_a_redirect_uri_inside_an_unsigned_request_is_checked_like_any_other(
    sqlite_provider: Provider,
) -> None:
    client = await sqlite_provider.create_client(request_object_signing_alg="none")
    for uri in (
        "https://evil.example/",
        REDIRECT_URI + "/x",
        "javascript:alert(1)",
        [REDIRECT_URI],
    ):
        jwt = unsigned(claims_inside(sqlite_provider, client, redirect_uri=uri))
        browser = sqlite_provider.browser()
        page = await visit(sqlite_provider, browser, client, request=jwt)
        assert browser.left_for is None
        assert page.status == 400
