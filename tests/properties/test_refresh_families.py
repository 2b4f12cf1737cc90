"""Refresh families under several clients, a moving clock, replays and revocations."""

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.jobs.table_sizes import clean_up
from tests.properties.families_world import World
from tests.properties.family_model import Access, Family, Refresh
from tests.properties.profiles import PROFILE
from tests.provider import ORIGIN, Account

T = TypeVar("T")
CLIENTS = st.integers(0, 2)
BACK = st.sampled_from([0, 0, 1, 1, 2, 5])
"""How far before the newest token of a family: a client has it, a thief has an older one."""


class RefreshFamilies(RuleBasedStateMachine):
    """Does to the provider what clients, thieves and administrators do, and compares."""

    world: World
    families = Bundle("families")

    def __init__(self) -> None:
        super().__init__()
        self.provider = self.world.provider
        self.known: list[Family] = []
        self.sessions = 0
        self.ended: set[int] = set()

    def _run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.world.runner.run(wait())

    def _tick(self) -> None:
        # Two events at one instant have no order, and a revocation counts for its instant.
        self.provider.clock.move(milliseconds=20)

    @initialize()
    def meet_a_person(self) -> None:
        """Begin with a person of this run's own."""
        self.account: Account = self._run(self.provider.create_user())
        self.browser = self.provider.browser()

    @rule(target=families, owner=CLIENTS)
    def sign_in(self, owner: int) -> Family:
        """The person signs in to a client."""
        self._tick()
        client = self.world.clients[owner]
        before = self.browser.http.cookies.get("authsvc_session")
        answer = self._run(self.provider.authorize(self.browser, client, self.account))
        if self.browser.http.cookies.get("authsvc_session") != before:
            self.sessions += 1
        now = self.provider.clock.now()
        tokens = self._run(self.provider.redeem(client, answer["code"])).json()
        family = Family(owner, answer["code"], now)
        family.refreshes.append(Refresh(tokens["refresh_token"], now))
        family.accesses.append(Access(tokens["access_token"], now, self.sessions))
        self.known.append(family)
        return family

    @staticmethod
    def _pick(family: Family, back: int) -> tuple[Family, Refresh]:
        """Return the family with one of its newest tokens."""
        return family, family.refreshes[-1 - back % len(family.refreshes)]

    @rule(family=families, back=BACK)
    def refresh(self, family: Family, back: int) -> None:
        """A client refreshes, perhaps with a token that it used before."""
        self._refresh_at_once(self._pick(family, back), None, 1)

    @rule(family=families, back=BACK, client=CLIENTS)
    def refresh_as_another_client(self, family: Family, back: int, client: int) -> None:
        """A token in the wrong hands."""
        self._refresh_at_once(self._pick(family, back), client, 1)

    @rule(family=families, back=BACK, times=st.integers(2, 6))
    def refresh_many_times_at_once(self, family: Family, back: int, times: int) -> None:
        """Tabs that all woke up."""
        self._refresh_at_once(self._pick(family, back), None, times)

    def _refresh_at_once(
        self, held: tuple[Family, Refresh], client: int | None, times: int
    ) -> None:
        self._tick()
        family, token = held
        who = family.owner if client is None else client
        now = self.provider.clock.now()
        expected = family.expects_refresh(token, who, now)

        responses = self._ask(who, [token] * times)

        for response in responses:
            self._note(family, token, response, expected)

    def _ask(self, who: int, tokens: list[Refresh]) -> list[httpx.Response]:
        async def ask() -> list[httpx.Response]:
            client = self.world.clients[who]
            return await asyncio.gather(
                *(self.provider.refresh(client, token.value) for token in tokens)
            )

        return self._run(ask())

    def _note(
        self, family: Family, token: Refresh, response: httpx.Response, expected: str
    ) -> None:
        now = self.provider.clock.now()
        if expected == "refused":
            answer = (response.status_code, response.json().get("error"))
            assert answer == (400, "invalid_grant"), answer
            return
        assert response.status_code == 200, response.text
        tokens = response.json()
        if token.successor is None:
            token.spent_at, token.successor = now, Refresh(tokens["refresh_token"], now)
            family.refreshes.append(token.successor)
        assert tokens["refresh_token"] == token.successor.value
        family.accesses.append(Access(tokens["access_token"], now))

    @rule(family=families)
    def old_and_new_at_once(self, family: Family) -> None:
        """A token and its successor race: whichever is first, nothing forks."""
        old = family.refreshes[max(0, len(family.refreshes) - 2)]
        if old.successor is None or old.successor.spent_at is not None or family.dead:
            return
        self._tick()
        now, new = self.provider.clock.now(), old.successor
        if family.expects_refresh(new, family.owner, now) != "new":
            return
        late = family.expects_refresh(old, family.owner, now) == "refused"

        of_old, of_new = self._ask(family.owner, [old, new])

        if of_old.status_code == 200:
            assert not late
            self._note(family, old, of_old, "same")
        else:
            # After the new one, or after the window: that is reuse.
            family.dead = True
        if of_new.status_code == 200:
            self._note(family, new, of_new, "new")
        else:
            assert family.dead

    @rule(family=families, seconds=st.sampled_from([8, 9, 10, 11]))
    def repeat_around_the_end_of_the_window(self, family: Family, seconds: int) -> None:
        """The newest token is used, and used again some seconds later."""
        held = self._pick(family, 0)
        self._refresh_at_once(held, None, 1)
        self.provider.clock.move(seconds=seconds)
        self._refresh_at_once(held, None, 1)

    @rule(seconds=st.sampled_from([5, 9, 10, 11, 299, 301, 86_400 * 13, 86_400 * 14]))
    def wait(self, seconds: int) -> None:
        """Time goes by."""
        self.provider.clock.move(seconds=seconds)

    @rule(days=st.sampled_from([0, 1, 8, 15]))
    def purge(self, days: int) -> None:
        """What is over is purged; nobody who has something that lives can tell."""
        self.provider.clock.move(days=days)
        self._run(clean_up(self.provider))
        for family in self.known:
            family.purge(self.provider.clock.now())

    @rule(family=families, who=CLIENTS)
    def replay_the_code(self, family: Family, who: int) -> None:
        """Somebody else holds the code; in the hands of another client it is worth nothing."""
        self._tick()
        response = self._run(self.provider.redeem(self.world.clients[who], family.code))
        assert response.json()["error"] == "invalid_grant"
        family.dead |= who == family.owner

    @rule(family=families, back=BACK, who=CLIENTS)
    def revoke_the_family(self, family: Family, back: int, who: int) -> None:
        """RFC 7009: by its own client the family ends, by another nothing happens."""
        self._tick()
        _, token = self._pick(family, back)
        response = self._run(self.provider.revoke(self.world.clients[who], token.value))
        # A token that is gone is no error (RFC 7009 §2.2), whoever presents it.
        gone = token.purged or family.dead
        assert response.status_code in {200 if who == family.owner else 400, 200 if gone else 400}
        family.dead |= who == family.owner and not token.purged

    @rule(family=families, number=st.integers(0, 20))
    def revoke_an_access_token(self, family: Family, number: int) -> None:
        """One access token goes, the others stay."""
        self._tick()
        access = family.accesses[number % len(family.accesses)]
        now = self.provider.clock.now()
        response = self._run(self.provider.revoke(self.world.clients[family.owner], access.value))
        assert response.status_code == 200
        access.revoked |= family.accepts(access, now, self.ended)

    @rule()
    def sign_out(self) -> None:
        """The session ends with the access tokens it got; offline access stays."""
        self._tick()
        if self.browser.http.cookies.get("authsvc_session") is None:
            return
        page = self._run(self.browser.get("/logout"))
        if page.has("#logout-confirm"):
            self._run(self.browser.submit(page, {}, button="#logout-confirm"))
            self.ended.add(self.sessions)

    @rule()
    def revoke_everything(self) -> None:
        """An administrator ends all the person has."""
        self._tick()
        self._run(self._revoke_sessions())
        self._tick()
        for family in self.known:
            family.dead = True
        self.ended.add(self.sessions)

    async def _revoke_sessions(self) -> None:
        resources = self.provider.resources
        async with resources.database.transaction() as tx:
            await resources.people.revoke_sessions(tx, self.account.id, ORIGIN)

    @invariant()
    def the_newest_access_tokens_are_what_the_model_says(self) -> None:
        """Look at a few each time: what is accepted, and what no longer is."""
        now = self.provider.clock.now()
        for family in self.known[-4:]:
            for access in {id(a): a for a in (family.accesses[0], family.accesses[-1])}.values():
                self._check(family, access, family.accepts(access, now, self.ended))

    def _check(self, family: Family, access: Access, accepted: bool) -> None:
        response = self._run(self.provider.userinfo(access.value))
        assert response.status_code == (200 if accepted else 401), response.text
        asking = self.world.clients[0]
        active = self._run(self.provider.introspect(asking, access.value))["active"]
        assert active == accepted

    def teardown(self) -> None:
        """At the end each token is tried: of a dead family none, of a living one by the model."""
        now = self.provider.clock.now()
        for family in self.known:
            for access in family.accesses:
                self._check(family, access, family.accepts(access, now, self.ended))
            if family.refreshes:
                self._refresh_at_once((family, family.refreshes[-1]), None, 1)
            if family.dead:
                for token in family.refreshes:
                    self._refresh_at_once((family, token), None, 1)
        self._run(self.browser.close())


@pytest.fixture(scope="module")
def world(sqlite_template: Path) -> Iterator[World]:
    """The provider that the machine drives."""
    made = World(sqlite_template)
    yield made
    made.close()


def test_refresh_families_are_what_the_model_says(world: World) -> None:
    RefreshFamilies.world = world
    run_state_machine_as_test(
        RefreshFamilies,
        # Shrinking would take minutes, and a run of 25 steps can be read as it is.
        settings=settings(
            PROFILE,
            max_examples=40,
            stateful_step_count=25,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
        ),
    )
