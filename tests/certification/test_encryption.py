"""Basic and Implicit OP: answers that only their client can read (Core §10.2, §5.3.2)."""

import pytest
from joserfc import jwe
from joserfc.jwk import RSAKey

from tests.certification.suite import Suite


@pytest.fixture(scope="module")
def key() -> RSAKey:
    """The client's key."""
    return RSAKey.generate_key(2048, {"kid": "enc-1", "use": "enc"}, auto_kid=False)


async def test_what_is_registered_to_be_encrypted_is_for_the_client_alone(
    suite: Suite, key: RSAKey
) -> None:
    client = await suite.register(
        jwks={"keys": [key.as_dict(private=False)]},
        id_token_encrypted_response_alg="RSA-OAEP",
        userinfo_signed_response_alg="RS256",
        userinfo_encrypted_response_alg="RSA-OAEP",
        userinfo_encrypted_response_enc="A256GCM",
    )
    tokens = await client.tokens(await client.authorize())
    response = await suite.http.get(
        suite.metadata["userinfo_endpoint"],
        headers={"Authorization": f"Bearer {tokens['access_token']}"},
    )

    assert response.headers["content-type"].partition(";")[0] == "application/jwt"
    opened = []
    for token, enc in ((tokens["id_token"], "A128CBC-HS256"), (response.text, "A256GCM")):
        opened.append(_open(token, key, enc))
    claims = await client.check_id_token(opened[0], access_token=tokens["access_token"])
    assert (await suite.verify(opened[1]))["sub"] == claims["sub"]


@pytest.mark.parametrize("response_type", ["id_token", "code id_token"])
async def test_an_id_token_by_the_browser_is_encrypted_too(
    suite: Suite, key: RSAKey, response_type: str
) -> None:
    client = await suite.register(
        response_type,
        jwks={"keys": [key.as_dict(private=False)]},
        id_token_encrypted_response_alg="RSA-OAEP-256",
        id_token_encrypted_response_enc="A128GCM",
    )
    answer = await client.authorize()
    opened = _open(answer["id_token"], key, "A128GCM", "RSA-OAEP-256")
    await client.check_id_token(opened, code=answer.parameters.get("code"))


def _open(token: str, key: RSAKey, enc: str, alg: str = "RSA-OAEP") -> str:
    read = jwe.decrypt_compact(token, key, algorithms=[alg, enc])
    assert read.headers()["enc"] == enc
    assert read.headers()["cty"] == "JWT"
    assert read.plaintext is not None
    return read.plaintext.decode()
