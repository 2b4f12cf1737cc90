"""Wrong passwords are counted exactly, slow an attacker, and lock nobody out for good."""

import asyncio
from dataclasses import dataclass

import pytest

from tests.browser import Browser, Page
from tests.conftest import Backend, OpenProvider
from tests.identity.visitors import (
    attempt,
    attempts,
    forget_session,
    is_signed_in,
    visitor,
)
from tests.provider import Account, Provider

WRONG = "a wrong password"
LIMITS = {
    "login_account_attempts": 3,
    "login_account_attempts_everywhere": 6,
    "login_address_attempts": 8,
    "login_delay": 10,
    "login_delay_max": 60,
    "login_window": 3_600,
}


@dataclass
class Door:
    """A provider with low limits, and a person who can come in."""

    provider: Provider
    account: Account

    def visitor(self, address: str = "192.0.2.1", **options: dict[str, str]) -> Browser:
        """Return a browser at ``address``."""
        return visitor(self.provider, address, **options)

    async def guess(self, browser: Browser, number: int = 1) -> list[int]:
        """Try wrong passwords for the person."""
        return await attempts(browser, self.account.username, WRONG, number)

    async def enter(self, browser: Browser) -> Page:
        """Try the right password."""
        return await attempt(browser, self.account.username, self.account.password)


@pytest.fixture
async def door(sqlite_backend: Backend, open_providers: OpenProvider) -> Door:
    """A door on the embedded defaults."""
    provider = await open_providers(sqlite_backend, **LIMITS)
    return Door(provider, await provider.create_user())


async def test_of_a_hundred_guesses_at_once_no_more_than_the_free_ones_are_looked_at(
    backend: Backend, open_providers: OpenProvider
) -> None:
    # Room for all hashes: none may be refused for want of it instead.
    provider = await open_providers(backend, **LIMITS, argon2_queue=1_000)
    door = Door(provider, await provider.create_user())
    browsers = [door.visitor() for _ in range(25)]
    pages = [await browser.get("/login") for browser in browsers]
    values = {"username": door.account.username, "password": WRONG}

    answers = await asyncio.gather(
        *(
            browser.submit(page, values, button="#login-submit")
            for browser, page in zip(browsers, pages, strict=True)
        )
    )

    statuses = sorted(answer.status for answer in answers)
    assert statuses == [400] * 3 + [429] * 22
    assert len(await provider.audit_events("login.failed")) == 3


async def test_delays_double_with_each_wrong_password_up_to_the_longest(door: Door) -> None:
    stranger = door.visitor()
    assert await door.guess(stranger, 3) == [400, 400, 400]

    for delay in (10, 20, 40, 60, 60):
        page = await attempt(stranger, door.account.username, WRONG)
        assert page.status == 429
        assert delay <= int(page.headers["retry-after"]) <= delay + 1
        assert page.alert
        assert f"{page.headers['retry-after']} seconds" in page.alert
        door.provider.clock.move(seconds=delay - 2)
        assert await door.guess(stranger) == [429]
        door.provider.clock.move(seconds=2)
        assert await door.guess(stranger) == [400]


async def test_a_right_password_does_not_come_through_a_closed_door(door: Door) -> None:
    stranger = door.visitor()
    await door.guess(stranger, 3)

    page = await door.enter(stranger)

    assert page.status == 429
    assert not is_signed_in(stranger)


async def test_knocking_at_a_closed_door_keeps_it_closed_no_longer(door: Door) -> None:
    stranger = door.visitor()
    await door.guess(stranger, 3)

    door.provider.clock.move(seconds=9)
    assert await door.guess(stranger, 20) == [429] * 20
    door.provider.clock.move(seconds=1)

    await door.enter(stranger)
    assert is_signed_in(stranger)


async def test_knocking_at_one_closed_door_closes_no_other(door: Door) -> None:
    other = await door.provider.create_user()
    stranger = door.visitor()
    await door.guess(stranger, 3)

    assert await door.guess(stranger, 20) == [429] * 20

    assert await attempts(stranger, other.username, WRONG, 3) == [400] * 3
    assert await attempts(door.visitor("192.0.2.2"), door.account.username, WRONG, 3) == [400] * 3


async def test_a_right_password_clears_what_was_counted(door: Door) -> None:
    person = door.visitor()
    assert await door.guess(person, 2) == [400, 400]
    await door.enter(person)
    assert is_signed_in(person)

    assert await door.guess(door.visitor(), 2) == [400, 400]


async def test_a_right_password_clears_nothing_that_others_were_counted_for(door: Door) -> None:
    for number in range(5):
        await door.guess(door.visitor(f"192.0.2.{number}"))
    owner = door.visitor("198.51.100.1")
    await door.enter(owner)
    assert is_signed_in(owner)

    assert await door.guess(door.visitor("192.0.2.101")) == [400]
    assert await door.guess(door.visitor("192.0.2.102")) == [429]


async def test_signing_in_to_an_account_of_ones_own_opens_no_guesses_at_others(door: Door) -> None:
    own = await door.provider.create_user()
    for _ in range(4):
        for _ in range(2):
            victim = await door.provider.create_user()
            await attempts(door.visitor(), victim.username, WRONG, 1)
        mine = door.visitor()
        await attempt(mine, own.username, own.password)

    assert await door.guess(door.visitor()) == [429]


async def test_an_account_is_throttled_from_everywhere_together(door: Door) -> None:
    for number in range(6):
        assert await door.guess(door.visitor(f"192.0.2.{number}")) == [400]

    assert await door.guess(door.visitor("198.51.100.1")) == [429]
    other = await door.provider.create_user()
    assert await attempts(door.visitor("198.51.100.1"), other.username, WRONG, 1) == [400]


async def test_an_address_is_throttled_over_all_accounts_together(door: Door) -> None:
    for number in range(8):
        guessed = f"person-{number}"
        assert await attempts(door.visitor(), guessed, WRONG, 1) == [400]

    assert await door.guess(door.visitor()) == [429]
    assert await door.guess(door.visitor("192.0.2.2")) == [400]


async def test_a_name_that_does_not_exist_is_throttled_just_the_same(door: Door) -> None:
    stranger = door.visitor()

    assert await attempts(stranger, "nobody", WRONG, 4) == [400, 400, 400, 429]
    assert await attempts(stranger, "  NOBODY ", WRONG, 1) == [429]


async def test_other_letters_of_a_name_are_the_same_account(door: Door) -> None:
    stranger = door.visitor()
    await door.guess(stranger, 2)

    assert await attempts(stranger, door.account.username.upper(), WRONG, 2) == [400, 429]


async def test_who_signed_in_here_before_gets_in_while_strangers_are_throttled(door: Door) -> None:
    owner = door.visitor("198.51.100.1")
    await door.enter(owner)
    forget_session(owner)
    for number in range(6):
        await door.guess(door.visitor(f"192.0.2.{number}"))
    assert (await door.enter(door.visitor("198.51.100.2"))).status == 429

    await door.enter(owner)

    assert is_signed_in(owner)
    assert (await door.enter(door.visitor("198.51.100.2"))).status == 429


async def test_a_known_browser_gets_no_more_guesses_than_anybody(door: Door) -> None:
    owner = door.visitor("198.51.100.1")
    await door.enter(owner)
    forget_session(owner)

    assert await door.guess(owner, 4) == [400, 400, 400, 429]


async def test_a_device_cookie_helps_with_its_own_account_alone_and_not_when_altered(
    door: Door,
) -> None:
    other = await door.provider.create_user()
    for number in range(6):
        await door.guess(door.visitor(f"192.0.2.{number}"))
    guest = door.visitor("198.51.100.3")
    await attempt(guest, other.username, other.password)
    forget_session(guest)
    assert (await door.enter(guest)).status == 429

    name = next(cookie.name for cookie in guest.http.cookies.jar if "device" in cookie.name)
    value = guest.http.cookies[name]
    for altered in (value[:-2], value.replace(".", "..", 1), "x.y.z", "x"):
        thief = door.visitor("198.51.100.4")
        thief.http.cookies.set(name, altered)
        assert (await door.enter(thief)).status == 429


async def test_counting_starts_anew_after_the_window(door: Door) -> None:
    stranger = door.visitor()
    await door.guess(stranger, 3)

    door.provider.clock.move(seconds=3_599)
    assert await door.guess(stranger) == [400]
    assert await door.guess(stranger) == [429]
    door.provider.clock.move(seconds=3_600)

    assert await door.guess(stranger, 4) == [400, 400, 400, 429]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
async def test_an_ipv6_network_of_64_bits_counts_as_one_address(
    door: Door, first: str, second: str, together: bool
) -> None:
    await door.guess(door.visitor(first), 3)

    assert await door.guess(door.visitor(second)) == [429 if together else 400]


async def test_behind_a_trusted_proxy_each_caller_is_counted_alone(door: Door) -> None:
    def through_proxy(address: str) -> Browser:
        return door.visitor("127.0.0.1", headers={"X-Forwarded-For": address})

    await door.guess(through_proxy("203.0.113.7"), 3)

    assert await door.guess(through_proxy("203.0.113.7")) == [429]
    assert await door.guess(through_proxy("203.0.113.8")) == [400]
    # What the caller wrote in front of it counts for nothing.
    assert await door.guess(through_proxy("198.51.100.5, 203.0.113.7")) == [429]


async def test_an_address_that_a_stranger_writes_into_the_header_counts_for_nothing(
    door: Door,
) -> None:
    for number in range(3):
        forged = door.visitor(headers={"X-Forwarded-For": f"203.0.113.{number}"})
        assert await door.guess(forged) == [400]

    assert await door.guess(door.visitor(headers={"Forwarded": "for=203.0.113.9"})) == [429]


async def test_replicas_count_together(backend: Backend, open_providers: OpenProvider) -> None:
    replicas = [await open_providers(backend, **LIMITS) for _ in range(2)]
    account = await replicas[0].create_user()

    statuses = [
        (await attempts(visitor(replicas[number % 2]), account.username, WRONG, 1))[0]
        for number in range(5)
    ]

    assert statuses == [400, 400, 400, 429, 429]


async def test_people_at_one_address_sign_in_at_once_although_the_replicas_clocks_differ(
    backend: Backend, open_providers: OpenProvider
) -> None:
    ahead, behind = [await open_providers(backend) for _ in range(2)]
    accounts = [await ahead.create_user() for _ in range(2)]
    ahead.clock.move(seconds=5)

    for replica, account in zip((ahead, behind), accounts, strict=True):
        assert await attempts(visitor(replica), account.username, WRONG, 1) == [400]
        browser = visitor(replica)
        await attempt(browser, account.username, account.password)
        assert is_signed_in(browser)
