"""Tokens that we did not issue, or not as this, are worth nothing anywhere (RFC 8725)."""

import asyncio

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.access.administration import ADMIN_PERMISSION
from tests.attacks.forging import forgeries, signed, signing_key, wrong_claims
from tests.provider import ORIGIN, Provider, TestClient, claims_of, header_of


@pytest.fixture
async def client(sqlite_provider: Provider) -> TestClient:
    """A client."""
    return await sqlite_provider.create_client()


@pytest.fixture
async def access_token(sqlite_provider: Provider, client: TestClient) -> str:
    """The access token of an administrator: the one that is worth forging."""
    await sqlite_provider.create_role("admin", ADMIN_PERMISSION)
    account = await sqlite_provider.create_user(roles=["admin"])
    tokens = await sqlite_provider.sign_in(client, account)
    token: str = tokens["access_token"]
    assert (await sqlite_provider.userinfo(token)).status_code == 200
    assert (await _admin(sqlite_provider, token)).status_code == 200
    return token


async def _admin(provider: Provider, token: str) -> httpx.Response:
    headers = {b"Authorization": f"Bearer {token}".encode()}
    return await provider.http.get("/admin/v1/users", headers=headers)


async def _refusals(provider: Provider, client: TestClient, token: str) -> list[str]:
    """Return where the token was not refused as it should."""
    headers = {b"Authorization": f"Bearer {token}".encode()}
    userinfo, posted, admin, introspected, revoked = await asyncio.gather(
        provider.http.get("/userinfo", headers=headers),
        provider.http.post("/userinfo", data={"access_token": token}),
        _admin(provider, token),
        provider.http.post(
            "/introspect", data={"token": token}, auth=client.auth or httpx.USE_CLIENT_DEFAULT
        ),
        provider.revoke(client, token),
    )
    wrong = []
    for name, response in (("userinfo", userinfo), ("posted", posted), ("admin", admin)):
        answer = (response.status_code, response.json()["error"])
        # Not even a token by its characters: RFC 6750 §3.1 wants invalid_request.
        if answer not in {(401, "invalid_token"), (400, "invalid_request")}:
            wrong.append(f"{name}: {answer}")
        if response.status_code == 401 and "Bearer" not in response.headers["www-authenticate"]:
            wrong.append(f"{name}: no challenge")
    if (introspected.status_code, introspected.json()) != (200, {"active": False}):
        wrong.append(f"introspection: {introspected.status_code} {introspected.text}")
    if revoked.status_code != 200:
        wrong.append(f"revocation: {revoked.status_code} {revoked.text}")
    return wrong


async def test_a_forged_access_token_is_refused_everywhere(
    sqlite_provider: Provider, client: TestClient, access_token: str
) -> None:
    forged = await forgeries(sqlite_provider, access_token)
    assert len(forged) > 60
    assert access_token not in forged.values()

    wrong = {
        name: found
        for name, token in forged.items()
        if (found := await _refusals(sqlite_provider, client, token))
    }

    assert wrong == {}
    assert (await sqlite_provider.userinfo(access_token)).status_code == 200


async def test_a_token_with_our_signature_but_wrong_claims_is_refused_everywhere(
    sqlite_provider: Provider, client: TestClient, access_token: str
) -> None:
    made = await wrong_claims(sqlite_provider, access_token)

    wrong = {}
    for name, token in made.items():
        found = await _refusals(sqlite_provider, client, token)
        if name in {"another client", "no client"}:
            # Asked to revoke what is not the client's, it says so (RFC 7009 §2.1).
            found = [one for one in found if not one.startswith("revocation: 400")]
        if found:
            wrong[name] = found

    assert wrong == {}


async def test_a_token_of_ours_remade_is_accepted_so_that_the_tests_above_can_fail(
    sqlite_provider: Provider, access_token: str
) -> None:
    key = (await signing_key(sqlite_provider)).private_key
    same = signed(header_of(access_token), claims_of(access_token), key)

    assert (await sqlite_provider.userinfo(same)).status_code == 200


async def test_a_token_that_claims_a_long_life_ends_with_the_setting(
    sqlite_provider: Provider, client: TestClient, access_token: str
) -> None:
    key = (await signing_key(sqlite_provider)).private_key
    claims = {**claims_of(access_token), "exp": 253402300799}
    lasting = signed(header_of(access_token), claims, key)
    answer = await sqlite_provider.introspect(client, lasting)
    assert answer["exp"] <= claims_of(access_token)["exp"] + 1

    sqlite_provider.clock.move(seconds=301)

    assert (await sqlite_provider.userinfo(lasting)).status_code == 401
    assert await sqlite_provider.introspect(client, lasting) == {"active": False}


async def test_an_id_token_is_no_access_token(
    sqlite_provider: Provider, client: TestClient
) -> None:
    for alg in ("RS256", "ES256"):
        signing = await sqlite_provider.create_client(id_token_signed_response_alg=alg)
        tokens = await sqlite_provider.sign_in(signing, await sqlite_provider.create_user())
        assert await _refusals(sqlite_provider, client, tokens["id_token"]) == []


async def test_an_access_token_is_no_id_token_hint(
    sqlite_provider: Provider, client: TestClient, access_token: str
) -> None:
    browser = sqlite_provider.browser()
    parameters = sqlite_provider.authorization_parameters(client, id_token_hint=access_token)
    await browser.get("/authorize", parameters)
    assert browser.left_for is not None
    assert sqlite_provider.answer_in(browser.left_for)["error"] == "invalid_request"

    page = await browser.get("/logout", {"id_token_hint": access_token})
    assert page.status == 400
    assert browser.left_for is None


async def test_a_forged_id_token_hint_signs_nobody_out(
    sqlite_provider: Provider, client: TestClient
) -> None:
    browser = sqlite_provider.browser()
    tokens = await sqlite_provider.sign_in(client, await sqlite_provider.create_user(), browser)
    forged = await forgeries(sqlite_provider, tokens["id_token"])
    statuses = set()
    for hint in forged.values():
        response = await browser.http.get("/logout", params={"id_token_hint": hint})
        statuses.add(response.status_code)

    assert statuses == {400}
    await browser.get("/authorize", sqlite_provider.authorization_parameters(client))
    assert browser.left_for is not None
    assert "code" in sqlite_provider.answer_in(browser.left_for)


async def test_a_token_signed_by_a_revoked_key_is_refused(
    sqlite_provider: Provider, client: TestClient, access_token: str
) -> None:
    async with sqlite_provider.resources.database.transaction() as tx:
        kid = header_of(access_token)["kid"]
        await sqlite_provider.resources.key_rotation.revoke(tx, kid, ORIGIN)

    assert await _refusals(sqlite_provider, client, access_token) == []


async def test_a_token_of_another_installation_is_refused(
    sqlite_provider: Provider, client: TestClient, access_token: str
) -> None:
    """Same issuer, same claims, another keyring: what a copied configuration would yield."""
    other = ec.generate_private_key(ec.SECP256R1())
    token = signed(header_of(access_token), claims_of(access_token), other)

    assert await _refusals(sqlite_provider, client, token) == []
