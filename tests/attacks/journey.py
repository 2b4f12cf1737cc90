"""A day in the life of a provider: every way in and out, failures included."""

from dataclasses import dataclass, field
from typing import Any

from authsvc.protocol.user_code import new_user_code
from authsvc.signing.algorithms import serialize
from tests.browser import Page
from tests.devices import create_device_client, enter, poll, start
from tests.provider import ORIGIN, PASSWORD, SECRET, VERIFIER, Provider, TestClient

WRONG_PASSWORD = "not the password at all"
WRONG_SECRET = "not-the-secret-of-this-client-at-all"


@dataclass
class Journey:
    """What was secret on the way, by a name to report it under."""

    secrets: dict[str, str] = field(default_factory=dict)
    key_material: dict[str, bytes] = field(default_factory=dict)

    def note(self, **secrets: Any) -> None:
        """Remember secrets; each needs a name of its own only to be told apart."""
        for name, value in secrets.items():
            self.secrets[f"{name} #{len(self.secrets)}"] = str(value)

    def note_tokens(self, tokens: dict[str, Any]) -> None:
        """Remember what a token response holds."""
        for name in ("access_token", "refresh_token", "id_token"):
            if name in tokens:
                self.note(**{name: tokens[name]})

    def note_page(self, page: Page) -> None:
        """Remember the form tokens of a page."""
        for form in page.forms:
            if "csrf_token" in form.fields:
                self.note(csrf_token=form.fields["csrf_token"])


async def travel(provider: Provider) -> Journey:
    """Go everywhere, and return every secret that was met."""
    journey = Journey()
    journey.note(password=PASSWORD, wrong_password=WRONG_PASSWORD, client_secret=SECRET)
    journey.note(wrong_secret=WRONG_SECRET, code_verifier=VERIFIER)
    client, other = await provider.create_client(), await provider.create_client()
    await _sign_in_and_out(provider, client, journey)
    await _use_tokens(provider, client, other, journey)
    await _connect_devices(provider, journey)
    await _administer(provider, client, journey)
    keyring = await provider.resources.keyring.get()
    for key in keyring._by_kid.values():
        journey.key_material[f"private key {key.alg}"] = serialize(key.private_key)
        numbers = getattr(key.private_key, "private_numbers", None)
        if numbers is not None:
            secret = getattr(numbers(), "private_value", None) or numbers().d
            journey.key_material[f"private number {key.alg}"] = secret.to_bytes(
                (secret.bit_length() + 7) // 8, "big"
            )
    journey.key_material["root secret"] = provider.resources.root._secret
    return journey


async def _sign_in_and_out(provider: Provider, client: TestClient, journey: Journey) -> None:
    account = await provider.create_user(email="secretive@example.com")
    browser = provider.browser()
    page = await browser.get("/authorize", provider.authorization_parameters(client))
    journey.note_page(page)
    form = {"username": account.username, "password": WRONG_PASSWORD}
    page = await browser.submit(page, form, button="#login-submit")
    journey.note_page(page)
    page = await browser.submit(
        page, {"username": "nobody", "password": WRONG_PASSWORD}, button="#login-submit"
    )
    form["password"] = account.password
    page = await browser.submit(page, form, button="#login-submit")
    journey.note_page(page)
    page = await browser.submit(page, {}, button="#consent-approve")
    assert browser.left_for is not None
    code = provider.answer_in(browser.left_for)["code"]
    tokens = (await provider.redeem(client, code)).json()
    journey.note(code=code)
    journey.note_tokens(tokens)
    page = await browser.get("/logout")
    journey.note_page(page)
    journey.note(**dict(browser.http.cookies))
    await browser.submit(page, {}, button="#logout-confirm")
    hinted = provider.browser()
    journey.note_tokens(await provider.sign_in(client, account, hinted))
    await hinted.get("/logout", {"id_token_hint": tokens["id_token"]})


async def _use_tokens(
    provider: Provider, client: TestClient, other: TestClient, journey: Journey
) -> None:
    account = await provider.create_user()
    answer = await provider.authorize(provider.browser(), client, account)
    code = answer["code"]
    journey.note(code=code)
    await provider.redeem(other, code)
    tokens = (await provider.redeem(client, code)).json()
    journey.note_tokens(tokens)
    for _ in range(3):
        refreshed = await provider.refresh(client, tokens["refresh_token"])
        await provider.refresh(client, tokens["refresh_token"])
        await provider.introspect(client, tokens["access_token"])
        await provider.userinfo(tokens["access_token"])
        tokens = refreshed.json()
        journey.note_tokens(tokens)
    await provider.redeem(client, code)
    await provider.refresh(client, tokens["refresh_token"])
    await provider.userinfo(tokens["access_token"])
    for tokens in [await provider.sign_in(client, account) for _ in range(2)]:
        journey.note_tokens(tokens)
        await provider.revoke(other, tokens["refresh_token"])
        await provider.revoke(client, tokens["access_token"])
        await provider.revoke(client, tokens["refresh_token"])
    response = await provider.token(client, grant_type="client_credentials")
    journey.note_tokens(response.json())
    wrong = TestClient(client.client_id, WRONG_SECRET, {})
    await provider.token(wrong, grant_type="client_credentials")
    await provider.http.get("/authorize", params={"client_id": client.client_id, "code": code})
    await provider.http.get(f"/nowhere/{code}?token={tokens['refresh_token']}")


async def _connect_devices(provider: Provider, journey: Journey) -> None:
    account = await provider.create_user()
    client = await create_device_client(provider)
    browser = provider.browser()
    for button in ("#device-approve", "#device-deny"):
        codes = await start(provider, client)
        journey.note(device_code=codes["device_code"])
        await poll(provider, client, codes)
        await poll(provider, client, codes)
        journey.note_page(await enter(browser, new_user_code(), account))
        page = await enter(browser, codes["user_code"], account)
        journey.note_page(page)
        await browser.submit(page, {}, button=button)
        answer = await poll(provider, client, codes)
        journey.note_tokens(answer.json())
        await poll(provider, client, codes)


async def _administer(provider: Provider, client: TestClient, journey: Journey) -> None:
    resources, server = provider.resources, provider.server
    account = await provider.create_user()
    journey.note_tokens(await provider.sign_in(client, account))
    async with resources.database.transaction() as tx:
        rotated = await server.client_administration.rotate_secret(
            tx, client.client_id, ORIGIN, overlap=provider.settings.access_token_ttl
        )
        journey.note(client_secret=rotated["client_secret"])
        await resources.people.disable(tx, account.id, ORIGIN)
        await resources.key_rotation.rotate(tx, ORIGIN)
    leaving = await provider.create_client()
    journey.note_tokens(await provider.sign_in(leaving, await provider.create_user()))
    async with resources.database.transaction() as tx:
        await server.client_administration.delete(tx, leaving.client_id, ORIGIN)
        await resources.audit_chain.chain(tx)
