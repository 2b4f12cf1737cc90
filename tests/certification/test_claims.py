"""Basic, Implicit and Hybrid OP: the claims of a scope, with their values.

OpenID Connect Core §5.1, §5.4 and §5.5.
"""

import pytest

from tests.certification.person import ADDRESS, PHONE, PROFILE
from tests.certification.suite import Suite

each_flow = pytest.mark.parametrize("response_type", ["code", "id_token token", "code id_token"])
SCOPES = {
    "profile": {*PROFILE, "preferred_username", "updated_at"},
    "email": {"email", "email_verified"},
    "address": {"address"},
    "phone": set(PHONE),
}


@pytest.mark.parametrize("response_type", ["code", "id_token", "id_token token", "code id_token"])
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_scope_yields_its_claims_with_their_values_and_no_others(
    suite: Suite, response_type: str, scope: str
) -> None:
    client = await suite.register(response_type)

    signed_in = await client.sign_in(scope=f"openid {scope}")

    known = {**PROFILE, **PHONE, "address": ADDRESS, "email": suite.email}
    known |= {"email_verified": True, "preferred_username": suite.person.username}
    if signed_in.access_token is None:
        about = signed_in.claims
    else:
        about = await suite.userinfo(signed_in.access_token)
        assert about.keys() == {"sub"} | SCOPES[scope]
        assert not SCOPES[scope] & {*signed_in.claims, *(signed_in.front_claims or {})}
    assert {name: about[name] for name in SCOPES[scope] if name != "updated_at"} == {
        name: known[name] for name in SCOPES[scope] if name != "updated_at"
    }
    others = set().union(*(names for other, names in SCOPES.items() if other != scope))
    assert not others & about.keys()
    if scope == "profile":
        assert isinstance(about["updated_at"], int)
        assert about["updated_at"] <= suite.now()


@each_flow
async def test_all_scopes_at_once_yield_all_claims(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    signed_in = await client.sign_in(scope="openid profile email address phone")
    wanted = set().union(*SCOPES.values())
    if signed_in.access_token is None:
        assert wanted <= signed_in.claims.keys()
    else:
        about = await suite.userinfo(signed_in.access_token)
        assert about.keys() == wanted | {"sub"}


async def test_the_order_of_scopes_does_not_matter(suite: Suite) -> None:
    client = await suite.register("code")
    signed_in = await client.sign_in(scope="email openid")
    assert signed_in.access_token is not None
    assert (await suite.userinfo(signed_in.access_token)).keys() >= {"sub", "email"}


@pytest.mark.parametrize("response_type", ["code", "id_token", "code id_token"])
async def test_an_essential_claim_comes_from_userinfo(suite: Suite, response_type: str) -> None:
    client = await suite.register(response_type)
    place = "id_token" if response_type == "id_token" else "userinfo"
    signed_in = await client.sign_in(claims=f'{{"{place}": {{"name": {{"essential": true}}}}}}')
    about = signed_in.claims
    if signed_in.access_token is not None:
        about = await suite.userinfo(signed_in.access_token)
    assert about["name"] == PROFILE["name"]
