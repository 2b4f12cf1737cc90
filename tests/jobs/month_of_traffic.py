"""A month in the life of a provider, day by day, on a clock that the test moves."""

import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from authsvc.jobs.chain_audit import chain_audit
from authsvc.jobs.deliver_outbox import deliver_outbox
from authsvc.jobs.deliver_webhooks import deliver_webhooks
from authsvc.jobs.purge_unused_clients import purge_unused_clients
from authsvc.jobs.rotate_keys import rotate_keys
from authsvc.oauth.initial_access_tokens import issue_initial_access_token
from authsvc.storage.idempotency_keys import claim_idempotency_key
from authsvc.storage.password_resets import PasswordReset, add_password_reset
from authsvc.storage.schema import metadata
from tests.client_keys import assertion_parameters, claims_for, public_jwk, sign
from tests.devices import connect, create_device_client, start
from tests.event_receiver import change_webhook, create_webhook
from tests.jobs.table_sizes import clean_up, count_rows
from tests.provider import ORIGIN, Account, Provider, TestClient

DAYS = 30
STEPS = 4
"""Parts of a day between which the jobs run."""


@dataclass
class Month:
    """The provider, whom it serves, and what they hold."""

    provider: Provider
    people: list[Account]
    web: TestClient
    machine: TestClient
    device: TestClient
    webhook_id: str
    held: list[tuple[int, TestClient, str]] = field(default_factory=list)
    sizes: list[dict[str, int]] = field(default_factory=list)

    async def live_through(self) -> None:
        """Let all the days go by; note the most rows that each table has on each."""
        for day in range(DAYS):
            most: Counter[str] = Counter()
            for step in range(STEPS):
                await self._serve(day, step)
                most |= Counter(await count_rows(self.provider))
                self.provider.clock.move(hours=24 / STEPS)
                await self._run_jobs()
            self.sizes.append({name: most[name] for name in metadata.tables})

    async def _run_jobs(self) -> None:
        server = self.provider.server
        await clean_up(self.provider)
        for work in (
            deliver_outbox,
            deliver_webhooks,
            purge_unused_clients,
            chain_audit,
            rotate_keys,
        ):
            await work(server)

    async def _serve(self, day: int, step: int) -> None:
        person = self.people[(day + step) % len(self.people)]
        if step % 2 == 0:
            await self._refresh_all(day)
        if step == 0:
            await change_webhook(self.provider, "rotate_secret", self.webhook_id)
            await self._sign_in(day, person)
            await self._connect_devices(day, person)
        elif step == 1:
            await self._lose_and_leave(person)
        else:
            await self._work_as_machine(day, step)

    async def _refresh_all(self, day: int) -> None:
        """Each app refreshes for four days; then it is never opened again."""
        held, self.held = self.held, []
        for since, client, token in held:
            response = await self.provider.refresh(client, token)
            assert response.status_code == 200, response.text
            if day - since < 4:
                self.held.append((since, client, response.json()["refresh_token"]))

    async def _sign_in(self, day: int, person: Account) -> None:
        """One stays, one is stolen from, one is signed out of, one revokes."""
        provider, web = self.provider, self.web
        kept = await provider.sign_in(web, person)
        self.held.append((day, web, kept["refresh_token"]))
        stolen = await provider.sign_in(web, person)
        first = (await provider.refresh(web, stolen["refresh_token"])).json()["refresh_token"]
        await provider.refresh(web, first)
        await provider.refresh(web, stolen["refresh_token"])
        browser = provider.browser()
        signed_out = await provider.sign_in(web, person, browser)
        await browser.get("/logout", {"id_token_hint": signed_out["id_token"]})
        await provider.revoke(web, signed_out["access_token"])

    async def _connect_devices(self, day: int, person: Account) -> None:
        """One device is connected, another is switched off before its person answers."""
        tokens = await connect(self.provider, self.device, person)
        self.held.append((day, self.device, tokens["refresh_token"]))
        await start(self.provider, self.device)

    async def _lose_and_leave(self, person: Account) -> None:
        """A code that is never redeemed; somebody who forgot the password, and then the link."""
        provider = self.provider
        browser = provider.browser()
        await provider.authorize(browser, self.web, person, scope="openid")
        page = await provider.browser().get("/login")
        assert page.has("input[name=password]")
        form = {"username": person.username, "password": "not the password at all"}
        await provider.browser().submit(page, form, button="#login-submit")
        now = provider.clock.now()
        async with provider.resources.database.transaction() as tx:
            reset = PasswordReset(person.id, bytes(32))
            expires_at = now + provider.settings.password_reset_ttl
            token_hash = secrets.token_bytes(32)
            await add_password_reset(tx, token_hash, reset, now=now, expires_at=expires_at)

    async def _work_as_machine(self, day: int, step: int) -> None:
        provider = self.provider
        now = provider.clock.now()
        at = int(now.timestamp())
        claims = claims_for(self.machine.client_id, iat=at, exp=at + 60)
        parameters: dict[str, Any] = assertion_parameters(sign(claims, "ES256"))
        response = await provider.token(self.machine, grant_type="client_credentials", **parameters)
        assert response.status_code == 200, response.text
        key = bytes([day, step]) * 16
        async with provider.resources.database.transaction() as tx:
            expires_at = now + provider.settings.idempotency_key_ttl
            await claim_idempotency_key(tx, key, key, now=now, expires_at=expires_at)
            await issue_initial_access_token(
                provider.server, tx, ORIGIN, uses=1, ttl=timedelta(days=1)
            )


async def begin_month(provider: Provider) -> Month:
    """Return a month that has not begun."""
    issued = await create_webhook(provider, "https://receiver.example/events", "login.*")
    return Month(
        provider,
        people=[await provider.create_user() for _ in range(5)],
        web=await provider.create_client(backchannel_logout_uri="https://app.example/bc"),
        machine=await provider.create_client(
            token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public_jwk("ES256")]}
        ),
        device=await create_device_client(provider),
        webhook_id=issued.webhook.id,
    )
