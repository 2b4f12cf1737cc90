"""Basic, Implicit and Hybrid OP: redirect URIs are compared character by character.

OpenID Connect Core §3.1.2.1, RFC 3986 §6.2.1, RFC 6749 §3.1.2.
"""

import pytest

from tests.certification.relying_party import CALLBACK
from tests.certification.suite import Suite

each_flow = pytest.mark.parametrize("response_type", ["code", "id_token token", "code id_token"])


@each_flow
async def test_the_redirect_uri_must_be_sent_and_be_registered(
    suite: Suite, response_type: str
) -> None:
    client = await suite.register(response_type)
    await client.refuse(redirect_uri=None)
    await client.refuse(redirect_uri=f"{CALLBACK}/unregistered")
    await client.refuse(redirect_uri=f"{CALLBACK}?foo=bar")
    await client.refuse(redirect_uri="https://attacker.example/")


@each_flow
async def test_a_query_in_a_redirect_uri_is_kept_and_compared_exactly(
    suite: Suite, response_type: str
) -> None:
    uri = f"{CALLBACK}?foo=bar"
    client = await suite.register(response_type, redirect_uris=[uri])

    answer = await client.authorize()

    await client.collect(answer)
    assert answer.uri == uri
    await client.refuse(redirect_uri=CALLBACK)
    await client.refuse(redirect_uri=f"{CALLBACK}?foo=baz")
    await client.refuse(redirect_uri=f"{uri}&more=1")


@pytest.mark.parametrize(
    "uri",
    [
        "https://rp.example/certification/callback/",
        "https://rp.example/certification/Callback",
        "https://rp.example/certification/x/../callback",
        "https://rp.example/certification/%63allback",
        "https://rp.example:443/certification/callback",
        "https://RP.example/certification/callback",
        "http://rp.example/certification/callback",
        f"{CALLBACK}#fragment",
        f"{CALLBACK}?",
    ],
)
async def test_what_would_be_the_same_after_normalising_is_another_uri(
    suite: Suite, uri: str
) -> None:
    client = await suite.register()
    await client.refuse(redirect_uri=uri)


async def test_which_of_several_redirect_uris_was_meant_is_kept(suite: Suite) -> None:
    second = "https://rp.example/certification/second"
    client = await suite.register(redirect_uris=[CALLBACK, second])
    answer = await client.authorize(redirect_uri=second)
    assert answer.uri == second
    refused = await client.redeem(await client.authorize(), redirect_uri=second)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    await client.collect(answer)
