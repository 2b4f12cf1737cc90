"""What the calls at one replica use up, made before the harm is done."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.browser import Browser, Page
from tests.devices import approve, enter, start
from tests.faults.replica import Replica
from tests.faults.world import World
from tests.provider import PASSWORD, Account
from tests.registration import registered


@dataclass(frozen=True)
class Kit:
    """What the calls at one replica use up."""

    code: str
    refresh_token: str
    known_refresh_token: str
    revocable_refresh_token: str
    person_token: str
    client_token: str
    revocable: str
    admin_token: str
    stranger: Browser
    """Who has come as far as the login page."""
    login_page: Page
    person: Account
    """Somebody of this kit alone."""
    signed_in: Browser
    """Where that person is signed in."""
    consent_page: Page
    continuation: str
    """Where an authorization request goes on after signing in."""
    logout_page: Page
    connected: Mapping[str, Any]
    """The codes of a device that was approved."""
    device_page: Page
    user_code: str
    """The code that is typed into it."""
    device_continuation: str
    device_question: Page
    registered: Mapping[str, Any]
    forgot_page: Page
    reset_link: str
    reset_page: Page


async def make_kit(world: World, replica: Replica) -> Kit:
    """Return a kit, and let the replica know the clients."""
    tokens = await world.new_tokens()
    stranger = world.browser_elsewhere(replica)
    request = replica.authorization_parameters(world.client)
    login_page = await stranger.get("/authorize", request)
    admin_token = await world.new_client_token(world.admin)
    person, address = await _new_person(world, replica, admin_token)
    signed_in = replica.browser()
    await replica.authorize(signed_in, world.client, person)
    asked = await signed_in.http.get("/authorize", params={**request, "prompt": "login"})
    connected = await start(replica, world.device)
    await approve(replica, connected, person, signed_in)
    user_code = (await start(replica, world.device))["user_code"]
    question = await enter(signed_in, user_code)
    kit = Kit(
        code=await world.new_code(),
        refresh_token=tokens["refresh_token"],
        known_refresh_token=(await world.new_tokens())["refresh_token"],
        revocable_refresh_token=(await world.new_tokens())["refresh_token"],
        person_token=tokens["access_token"],
        client_token=await world.new_client_token(),
        revocable=await world.new_client_token(),
        admin_token=admin_token,
        stranger=stranger,
        login_page=login_page,
        person=person,
        signed_in=signed_in,
        consent_page=await signed_in.get("/authorize", {**request, "prompt": "consent"}),
        continuation=_continuation_in(asked.headers["location"]),
        logout_page=await signed_in.get("/logout"),
        connected=connected,
        device_page=await signed_in.get("/device"),
        user_code=user_code,
        # Where a person goes on who signs in as another one.
        device_continuation=_continuation_in(_found(r'href="(\S+continue=[^"]+)"', question.text)),
        device_question=question,
        registered=await registered(replica),
        forgot_page=await stranger.get("/password/forgot"),
        reset_link=(link := await _new_reset_link(world, replica, person.username, address)),
        reset_page=await stranger.get(link),
    )
    await _let_know(world, replica)
    return kit


def _continuation_in(location: str) -> str:
    """Return the sealed request that the way to the login page carries."""
    (sealed,) = parse_qs(urlsplit(location).query)["continue"]
    return sealed


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None
    return found[1]


async def _new_person(world: World, replica: Replica, admin_token: str) -> tuple[Account, str]:
    """Return a new person and their address."""
    username = world.new_name()
    address = f"{username}@people.example"
    members = {"username": username, "email": address, "password": PASSWORD}
    made = await world.administer(replica, admin_token, "POST", "/users", json=members)
    assert made.status_code == 201, made.text
    return Account(made.json()["id"], username, PASSWORD), address


async def _new_reset_link(world: World, replica: Replica, username: str, address: str) -> str:
    """Return the link that the mail to the address holds."""
    browser = world.browser_elsewhere(replica)
    page = await browser.get("/password/forgot")
    page = await browser.submit(page, {"username": username}, button="#forgot-submit")
    assert page.status == 200, page.alert
    while True:
        caught = await world.mail.take()
        links: list[str] = re.findall(
            r"^https?://[^/\s]+(/\S+\?token=\S+)$", caught.text, re.MULTILINE
        )
        if links and caught.receivers == [address]:
            return links[0]


async def _let_know(world: World, replica: Replica) -> None:
    for client in (world.client, world.admin):
        response = await replica.token(client, grant_type="client_credentials")
        assert response.status_code == 200, response.text
