"""Dynamic OP: keys that rotate on either side, and pairwise subjects.

OpenID Connect Core §8.1, §10.1.1, OpenID Connect Registration §5.
"""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.certification.relying_party import CALLBACK, RelyingParty
from tests.certification.suite import Suite
from tests.client_keys import assertion_parameters, claims_for, public_jwk, sign
from tests.provider import ORIGIN, header_of
from tests.web_servers import WebServer, open_web_server


@pytest.fixture
async def files() -> AsyncIterator[WebServer]:
    """The web server of a client, with its keys and lists."""
    async with open_web_server(tls=False) as running:
        yield running


def _publish_keys(files: WebServer, *keys: dict[str, Any]) -> str:
    body = orjson.dumps({"keys": keys})
    files.respond("/jwks", headers={"Content-Type": "application/json"}, body=body)
    return f"{files.url}/jwks"


async def test_keys_are_read_from_the_jwks_uri_and_rotate_with_it(
    suite: Suite, files: WebServer
) -> None:
    client = await suite.register(
        token_endpoint_auth_method="private_key_jwt",
        jwks_uri=_publish_keys(files, public_jwk("ES256", 1)),
    )
    await _authenticate(client, 1)

    _publish_keys(files, public_jwk("ES256", 2))

    await _authenticate(client, 2)


async def _authenticate(client: RelyingParty, key: int) -> None:
    claims = claims_for(client.client_id, aud=client.suite.issuer)
    assertion = sign(claims, "ES256", key)
    await client.tokens(await client.authorize(), **assertion_parameters(assertion))


async def test_a_refresh_token_survives_the_rotation_of_the_clients_keys(
    suite: Suite, files: WebServer
) -> None:
    client = await suite.register(
        token_endpoint_auth_method="private_key_jwt",
        grant_types=["authorization_code", "refresh_token"],
        jwks_uri=_publish_keys(files, public_jwk("ES256", 1)),
    )
    answer = await client.authorize(scope="openid offline_access", prompt="consent")
    assertion = sign(claims_for(client.client_id, aud=suite.issuer), "ES256", 1)
    tokens = await client.tokens(answer, **assertion_parameters(assertion))

    _publish_keys(files, public_jwk("ES256", 2))

    assertion = sign(claims_for(client.client_id, aud=suite.issuer), "ES256", 2)
    response = await client.call_token(
        grant_type="refresh_token",
        refresh_token=tokens["refresh_token"],
        **assertion_parameters(assertion),
    )
    assert response.status_code == 200, response.text


async def test_the_providers_keys_rotate_and_nobody_notices(suite: Suite) -> None:
    client = await suite.register()
    before = await client.sign_in()
    known = {key["kid"] for key in await suite.jwks()}

    # What `authsvc keys rotate` does.
    rotation = suite.provider.resources.key_rotation
    async with suite.provider.resources.database.transaction() as tx:
        await rotation.rotate(tx, ORIGIN)

    now = {key["kid"] for key in await suite.jwks()}
    assert now > known  # the retired ones are published on
    after = await client.sign_in()
    assert header_of(after.id_token)["kid"] != header_of(before.id_token)["kid"]
    await suite.verify(before.id_token)
    again = await client.authorize(prompt="none", id_token_hint=before.id_token)
    assert again.error == "login_required"


async def test_a_sector_identifier_must_list_every_redirect_uri(
    suite: Suite, files: WebServer
) -> None:
    uri = f"{files.url}/sector"
    pairwise = {"subject_type": "pairwise", "sector_identifier_uri": uri}
    files.respond("/sector", body=orjson.dumps(["https://rp.example/other"]))
    await suite.refuse_registration("invalid_client_metadata", **pairwise)
    files.respond("/sector2", body=orjson.dumps([CALLBACK, "https://rp.example/other"]))
    pairwise["sector_identifier_uri"] = f"{files.url}/sector2"
    client = await suite.register(**pairwise)
    assert client.registration["subject_type"] == "pairwise"
    await client.sign_in()


async def test_pairwise_subjects_differ_by_sector_and_public_ones_do_not(
    suite: Suite, files: WebServer
) -> None:
    there = "https://another.example/callback"
    here = await suite.register(subject_type="pairwise")
    elsewhere = await suite.register(subject_type="pairwise", redirect_uris=[there])
    again = await suite.register(subject_type="pairwise")
    public = [await suite.register(), await suite.register(redirect_uris=[there])]

    found = [await client.sign_in() for client in (here, elsewhere, again, *public)]

    subjects = [signed_in.claims["sub"] for signed_in in found]
    assert subjects[0] == subjects[2]
    assert subjects[3] == subjects[4]
    assert len(set(subjects)) == 3
    for signed_in, subject in zip(found, subjects, strict=True):
        assert signed_in.access_token is not None
        assert (await suite.userinfo(signed_in.access_token))["sub"] == subject
