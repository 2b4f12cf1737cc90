"""Client authentication with private_key_jwt (RFC 7523 §3, OpenID Connect Core §9)."""

import hashlib
import hmac
import time
from typing import Any

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from jwt.algorithms import get_default_algorithms

from tests.answers import check_error
from tests.client_keys import (
    ALGORITHMS,
    assertion_parameters,
    claims_for,
    encode,
    private_key,
    public_jwk,
    sign,
)
from tests.provider import Provider, TestClient

ISSUER = "http://127.0.0.1:8000"


async def create_client(provider: Provider, *keys: dict[str, Any], **metadata: Any) -> TestClient:
    """Create a client that authenticates with private_key_jwt."""
    return await provider.create_client(
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": list(keys) or [public_jwk("ES256")]},
        **metadata,
    )


async def present(provider: Provider, assertion: str) -> httpx.Response:
    """Ask for a token with ``assertion``."""
    return await provider.http.post(
        "/token", data={"grant_type": "client_credentials", **assertion_parameters(assertion)}
    )


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_client_authenticates_with_each_algorithm(
    sqlite_provider: Provider, alg: str
) -> None:
    client = await create_client(sqlite_provider, *map(public_jwk, ALGORITHMS))
    response = await present(sqlite_provider, sign(claims_for(client.client_id), alg))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "header",
    [{}, {"kid": None}, {"typ": "JWT"}, {"typ": None}, {"typ": "client-authentication+jwt"}],
)
async def test_the_header_may_leave_out_what_the_key_says(
    sqlite_provider: Provider, header: dict[str, Any]
) -> None:
    client = await create_client(sqlite_provider)
    assertion = sign(claims_for(client.client_id), "ES256", **header)
    assert (await present(sqlite_provider, assertion)).status_code == 200


@pytest.mark.parametrize(
    ("typ", "status"),
    [
        (None, 200),
        ("jwt", 200),
        ("application/client-authentication+jwt", 200),
        ("oauth-authz-req+jwt", 401),
        ("application/OAuth-Authz-Req+JWT", 401),
        ("logout+jwt", 401),
        ("at+jwt", 401),
        ("dpop+jwt", 401),
        (7, 401),
        (["JWT"], 401),
    ],
)
async def test_a_jwt_that_says_it_is_something_else_is_no_assertion(
    sqlite_provider: Provider, typ: object, status: int
) -> None:
    """RFC 8725 §3.11: a request object holds iss, aud, exp and jti as well."""
    client = await create_client(sqlite_provider)
    assertion = _sign_any_header(claims_for(client.client_id), "ES256", 0, {"typ": typ})
    assert (await present(sqlite_provider, assertion)).status_code == status


@pytest.mark.parametrize("members", [{}, {"alg": None}, {"kid": None}, {"use": None}])
async def test_a_key_may_be_registered_with_less(
    sqlite_provider: Provider, members: dict[str, Any]
) -> None:
    client = await create_client(sqlite_provider, public_jwk("ES256", **members))
    assertion = sign(claims_for(client.client_id), "ES256")
    assert (await present(sqlite_provider, assertion)).status_code == 200


@pytest.mark.parametrize(
    "audience",
    [ISSUER, f"{ISSUER}/token", [ISSUER], ["https://other.example", f"{ISSUER}/token"]],
)
async def test_an_assertion_may_be_for_the_issuer_or_its_token_endpoint(
    sqlite_provider: Provider, audience: object
) -> None:
    client = await create_client(sqlite_provider)
    assertion = sign(claims_for(client.client_id, aud=audience), "ES256")
    assert (await present(sqlite_provider, assertion)).status_code == 200


async def test_an_assertion_may_be_for_the_endpoint_that_it_is_sent_to(
    sqlite_provider: Provider,
) -> None:
    client = await create_client(sqlite_provider)
    for path in ("introspect", "revoke"):
        for audience, status in ((f"{ISSUER}/{path}", 200), (f"{ISSUER}/jwks", 401)):
            assertion = sign(claims_for(client.client_id, aud=audience), "ES256")
            response = await sqlite_provider.http.post(
                f"/{path}", data={"token": "x", **assertion_parameters(assertion)}
            )
            assert response.status_code == status, response.text


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"iss": "another"},
        {"sub": None},
        {"sub": "unknown"},
        {"sub": 1},
        {"sub": "a\x00b"},
        {"aud": None},
        {"aud": []},
        {"aud": ""},
        {"aud": 1},
        {"aud": {"a": 1}},
        {"aud": f"{ISSUER}/"},
        {"aud": f"{ISSUER}/token/"},
        {"aud": f"{ISSUER}/introspect"},
        {"aud": f"{ISSUER}/revoke"},
        {"aud": "https://other.example"},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -1},
        {"exp": 10**18},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 256},
        {"nbf": "now"},
        {"iat": "now"},
    ],
)
async def test_an_assertion_with_wrong_claims_is_refused(
    sqlite_provider: Provider, changes: dict[str, Any]
) -> None:
    client = await create_client(sqlite_provider)
    assertion = sign(claims_for(client.client_id, **changes), "ES256")
    check_error(await present(sqlite_provider, assertion), 401, "invalid_client")


@pytest.mark.parametrize(
    ("claim", "offset", "status"),
    [
        ("exp", -5, 200),
        ("exp", -15, 401),
        ("exp", 3595, 200),
        ("exp", 3630, 401),
        ("nbf", 5, 200),
        ("nbf", 20, 401),
        ("iat", 5, 200),
        ("iat", 20, 401),
        ("iat", -86_400, 200),
    ],
)
async def test_the_times_of_an_assertion_are_judged_with_ten_seconds_of_leeway(
    sqlite_provider: Provider, claim: str, offset: int, status: int
) -> None:
    client = await create_client(sqlite_provider)
    claims = claims_for(client.client_id, **{claim: int(time.time()) + offset})
    assert (await present(sqlite_provider, sign(claims, "ES256"))).status_code == status


async def test_an_assertion_is_good_once(provider: Provider) -> None:
    client = await create_client(provider)
    assertion = sign(claims_for(client.client_id), "ES256")
    assert (await present(provider, assertion)).status_code == 200
    check_error(await present(provider, assertion), 401, "invalid_client")
    response = await provider.http.post(
        "/introspect", data={"token": "x", **assertion_parameters(assertion)}
    )
    check_error(response, 401, "invalid_client")


async def test_two_clients_may_use_the_same_jti(sqlite_provider: Provider) -> None:
    for _ in range(2):
        client = await create_client(sqlite_provider)
        assertion = sign(claims_for(client.client_id, jti="one"), "ES256")
        assert (await present(sqlite_provider, assertion)).status_code == 200


async def test_an_assertion_that_is_not_signed_is_refused(sqlite_provider: Provider) -> None:
    client = await create_client(sqlite_provider)
    claims = encode(orjson.dumps(claims_for(client.client_id)))
    for alg in ("none", "None", "NONE", ""):
        header = encode(orjson.dumps({"alg": alg, "kid": "ES256-0"}))
        for signature in ("", "AAAA"):
            response = await present(sqlite_provider, f"{header}.{claims}.{signature}")
            check_error(response, 401, "invalid_client")


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_public_key_is_no_hmac_secret(sqlite_provider: Provider, alg: str) -> None:
    client = await create_client(sqlite_provider, public_jwk(alg))
    public_key = private_key(alg).public_key()
    pem = public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for secret in (pem, pem.strip(), orjson.dumps(public_jwk(alg))):
        header = encode(orjson.dumps({"alg": "HS256", "kid": f"{alg}-0"}))
        signed = f"{header}.{encode(orjson.dumps(claims_for(client.client_id)))}"
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        response = await present(sqlite_provider, f"{signed}.{encode(mac)}")
        check_error(response, 401, "invalid_client")


@pytest.mark.parametrize(
    ("alg", "number", "header"),
    [
        ("ES256", 1, {"kid": "ES256-0"}),
        ("ES256", 1, {"kid": None}),
        ("ES256", 0, {"kid": "unknown"}),
        ("ES256", 0, {"kid": 7}),
        ("ES256", 0, {"crit": ["exp"], "exp": 1}),
        ("ES256", 0, {"crit": []}),
        ("ES256", 0, {"b64": True}),
        ("RS256", 0, {"kid": "ES256-0"}),
        ("EdDSA", 0, {"kid": None}),
    ],
)
async def test_an_assertion_under_a_wrong_key_or_header_is_refused(
    sqlite_provider: Provider, alg: str, number: int, header: dict[str, Any]
) -> None:
    client = await create_client(sqlite_provider)
    claims = claims_for(client.client_id)
    assertion = _sign_any_header(claims, alg, number, header)
    check_error(await present(sqlite_provider, assertion), 401, "invalid_client")


def _sign_any_header(claims: dict[str, Any], alg: str, number: int, changes: dict[str, Any]) -> str:
    """Sign with a header that PyJWT would refuse to make."""
    header = {"alg": alg, "kid": f"{alg}-{number}", **changes}
    header = {name: value for name, value in header.items() if value is not None}
    signed = f"{encode(orjson.dumps(header))}.{encode(orjson.dumps(claims))}"
    signature = get_default_algorithms()[alg].sign(signed.encode(), private_key(alg, number))
    return f"{signed}.{encode(signature)}"


async def test_a_key_for_one_algorithm_verifies_no_other(sqlite_provider: Provider) -> None:
    client = await create_client(sqlite_provider, public_jwk("RS256"))
    claims = claims_for(client.client_id)
    assertion = _sign_any_header(claims, "PS256", 0, {"kid": "RS256-0"})
    check_error(await present(sqlite_provider, assertion), 401, "invalid_client")


async def test_the_registered_algorithm_is_the_only_one(sqlite_provider: Provider) -> None:
    client = await create_client(
        sqlite_provider,
        public_jwk("ES256"),
        public_jwk("EdDSA"),
        token_endpoint_auth_signing_alg="EdDSA",
    )
    for alg, status in (("ES256", 401), ("EdDSA", 200)):
        response = await present(sqlite_provider, sign(claims_for(client.client_id), alg))
        assert response.status_code == status


@pytest.mark.parametrize(
    "assertion",
    ["x", "a.b", "a.b.c", "....", "e30.e30.e30", "e30.W10.AAAA", "é.é.é", "x" * 20_000],
)
async def test_what_is_no_jwt_is_refused(sqlite_provider: Provider, assertion: str) -> None:
    await create_client(sqlite_provider)
    check_error(await present(sqlite_provider, assertion), 401, "invalid_client")


async def test_a_tampered_assertion_is_refused(sqlite_provider: Provider) -> None:
    client = await create_client(sqlite_provider)
    header, _, signature = sign(claims_for(client.client_id), "ES256").split(".")
    claims = encode(orjson.dumps(claims_for(client.client_id)))
    response = await present(sqlite_provider, f"{header}.{claims}.{signature}")
    check_error(response, 401, "invalid_client")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"client_assertion": None}, 400, "invalid_request"),
        ({"client_assertion_type": None}, 400, "invalid_request"),
        ({"client_assertion_type": "jwt-bearer"}, 401, "invalid_client"),
        (
            {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
            401,
            "invalid_client",
        ),
    ],
)
async def test_an_assertion_and_its_type_belong_together(
    sqlite_provider: Provider, changes: dict[str, str | None], status: int, code: str
) -> None:
    client = await create_client(sqlite_provider)
    assertion = sign(claims_for(client.client_id), "ES256")
    form = {"grant_type": "client_credentials", **assertion_parameters(assertion), **changes}
    sent = {name: value for name, value in form.items() if value is not None}
    check_error(await sqlite_provider.http.post("/token", data=sent), status, code)


async def test_an_assertion_of_another_client_does_not_speak_for_this_one(
    sqlite_provider: Provider,
) -> None:
    client = await create_client(sqlite_provider)
    await create_client(sqlite_provider, public_jwk("ES256", 1))
    assertion = sign(claims_for(client.client_id), "ES256", 1)
    check_error(await present(sqlite_provider, assertion), 401, "invalid_client")
