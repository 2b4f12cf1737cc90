"""What strangers send and what goes wrong around us is answered for: never with a 500."""

import base64
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import jwt
import orjson
import pytest
from pydantic import SecretStr

from authsvc.resources import open_resources
from tests.answers import check_error
from tests.client_keys import assertion_parameters, encode, private_key, public_jwk
from tests.conftest import MASTER_KEY, Backend, BackendName, OpenProvider
from tests.provider import ORIGIN, Provider, TestClient
from tests.servers import PostgresServer

MakeBackend = Callable[[BackendName], Backend]
NEW_KEY = base64.urlsafe_b64encode(bytes(range(100, 132))).decode().rstrip("=")
MAX_AGES = ["0" * 12 + "9" * 5_000, "9" * 312, "0" * 12 + "9" * 300, "1" * 10, "-1", "1e3", "²"]
INSTANTS = [
    "253402300799", "253402300800", "1e308", "-1e308", "NaN", "Infinity", "-Infinity",
    "-62135596800", "-62135596801", "9" * 400, "1.7e9999", "true", "null", '"1"', "[]", "{}",
]  # fmt: skip


@pytest.mark.parametrize("max_age", MAX_AGES, ids=lambda text: f"{text[:13]} of {len(text)}")
@pytest.mark.parametrize("signed_in", [True, False])
async def test_a_max_age_that_is_no_number_of_seconds_is_the_clients_error(
    sqlite_provider: Provider, signed_in: bool, max_age: str
) -> None:
    client, browser = await sqlite_provider.create_client(), sqlite_provider.browser()
    if signed_in:
        await sqlite_provider.authorize(browser, client, await sqlite_provider.create_user())

    parameters = sqlite_provider.authorization_parameters(client, max_age=max_age)
    await browser.get("/authorize", parameters)

    assert browser.left_for is not None
    answer = sqlite_provider.answer_in(browser.left_for)
    assert (answer["error"], answer["state"]) == ("invalid_request", "the-state")


@pytest.fixture
async def signer(sqlite_provider: Provider) -> TestClient:
    """A client that authenticates with private_key_jwt."""
    return await sqlite_provider.create_client(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public_jwk("ES256")]}
    )


async def _present(provider: Provider, client: TestClient, **claims: str | None) -> httpx.Response:
    """Ask for a token with an assertion; ``claims`` are JSON, as it stands in the assertion."""
    now = int(provider.clock.now().timestamp())
    members: dict[str, str | None] = {
        "iss": f'"{client.client_id}"',
        "sub": f'"{client.client_id}"',
        "aud": f'"{provider.settings.issuer}"',
        "jti": f'"{secrets.token_hex(8)}"',
        "exp": str(now + 60),
        **claims,
    }
    written = ",".join(f'"{name}":{value}' for name, value in members.items() if value is not None)
    assertion = jwt.PyJWS().encode(
        f"{{{written}}}".encode(), private_key("ES256", 0), "ES256", {"kid": "ES256-0"}
    )
    form = {"grant_type": "client_credentials", **assertion_parameters(assertion)}
    return await provider.http.post("/token", data=form)


@pytest.mark.parametrize("instant", INSTANTS, ids=lambda text: text[:20])
async def test_an_assertion_whose_instants_are_none_authenticates_nobody(
    sqlite_provider: Provider, signer: TestClient, instant: str
) -> None:
    assert (await _present(sqlite_provider, signer)).status_code == 200

    check_error(await _present(sqlite_provider, signer, exp=instant), 401, "invalid_client")

    for name in ("nbf", "iat"):
        response = await _present(sqlite_provider, signer, **{name: instant})
        assert response.status_code in (200, 401)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": "1"}, "expired"),
        ({"exp": "253402300799"}, "lives too long"),
        ({"exp": None}, "exp"),
        ({"aud": '"https://other.example"'}, "aud"),
        ({"iss": '"other"'}, "iss"),
        ({"jti": None}, "jti"),
    ],
    ids=str,
)
async def test_an_assertion_that_fails_is_audited_with_its_reason(
    sqlite_provider: Provider, signer: TestClient, changes: dict[str, str | None], reason: str
) -> None:
    check_error(await _present(sqlite_provider, signer, **changes), 401, "invalid_client")

    (event,) = await sqlite_provider.audit_events("client.authentication_failed")
    assert (event.subject, event.client_id) == (signer.client_id, signer.client_id)
    assert reason in event.details["reason"]


async def test_a_replayed_or_forged_assertion_is_audited_as_a_wrong_secret_is(
    sqlite_provider: Provider, signer: TestClient
) -> None:
    for _ in range(2):
        response = await _present(sqlite_provider, signer, jti='"the same"')
    check_error(response, 401, "invalid_client")
    header, payload = orjson.dumps({"alg": "ES256"}), orjson.dumps({"sub": signer.client_id})
    forged = f"{encode(header)}.{encode(payload)}.AAAA"
    form = {"grant_type": "client_credentials", **assertion_parameters(forged)}
    check_error(await sqlite_provider.http.post("/token", data=form), 401, "invalid_client")
    client = await sqlite_provider.create_client()
    wrong = await sqlite_provider.http.post(
        "/token", data={"grant_type": "client_credentials"}, auth=(client.client_id, "wrong")
    )
    check_error(wrong, 401, "invalid_client")

    events = await sqlite_provider.audit_events("client.authentication_failed")
    found = {(event.client_id, event.details["reason"].partition(":")[0]) for event in events}
    assert len(events) == 3
    assert found == {(signer.client_id, "assertion"), (client.client_id, "wrong secret")}


async def test_keys_that_can_not_be_opened_are_503_until_the_master_key_is_there(
    backend: Backend, open_providers: OpenProvider
) -> None:
    behind: Provider = await open_providers(backend)
    client = await behind.create_client()
    both = SecretStr(f"{NEW_KEY},{MASTER_KEY}")
    settings = backend.settings(master_key=both)
    async with open_resources(settings) as resources, resources.database.transaction() as tx:
        assert await resources.key_rotation.reseal(tx, ORIGIN) > 0
    # With Redis the announcement is on its way; without, the next request looks.
    await behind.resources.changes._resync(everything=False)

    for response in (
        await behind.http.get("/jwks"),
        await behind.token(client, grant_type="client_credentials"),
    ):
        check_error(response, 503, "temporarily_unavailable")
        assert int(response.headers["retry-after"]) > 0
    ready = await behind.http.get("/readyz")
    checks = ready.json()["checks"]
    assert (ready.status_code, checks["database"]["status"]) == (503, "ok")
    assert checks["keys"]["status"] == "error"

    updated: Provider = await open_providers(backend, master_key=both)
    assert (await updated.http.get("/jwks")).status_code == 200
    assert (await updated.http.get("/readyz")).status_code == 200


class Refusing:
    """A PostgreSQL that is there and lets us in no more."""

    def __init__(self, backend: Backend, admin: Any, role: str) -> None:
        self.backend, self._admin, self._role = backend, admin, role
        self._database = urlsplit(backend.database_url).path.removeprefix("/")

    async def refuse(self, how: str) -> None:
        """Refuse new connections, and end those that are open."""
        if how == "55000":
            await self._admin.execute(f'ALTER DATABASE "{self._database}" ALLOW_CONNECTIONS false')
        elif how == "53300":
            await self._admin.execute(f'ALTER ROLE "{self._role}" CONNECTION LIMIT 0')
        elif how == "28000":
            await self._admin.execute(f'ALTER ROLE "{self._role}" NOLOGIN')
        else:
            await self._admin.execute(f"ALTER ROLE \"{self._role}\" PASSWORD 'another'")
        await self._admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
            self._database,
        )


@pytest.fixture
def postgres_backend(make_backend: MakeBackend) -> Backend:
    """A database of a real PostgreSQL."""
    return make_backend("postgres")


@pytest.fixture
async def refusing(
    postgres_server: PostgresServer, postgres_backend: Backend
) -> AsyncIterator[Refusing]:
    """A database that is reached as a role of its own."""
    role, password = f"authsvc_{secrets.token_hex(6)}", secrets.token_hex(8)
    admin = await asyncpg.connect(postgres_server.url)
    url = urlsplit(postgres_backend.database_url)
    await admin.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'")
    await admin.execute(f'GRANT pg_read_all_data, pg_write_all_data TO "{role}"')
    netloc = f"{role}:{password}@{url.netloc.rpartition('@')[2]}"
    ours = replace(postgres_backend, database_url=url._replace(netloc=netloc).geturl())
    try:
        yield Refusing(ours, admin, role)
    finally:
        await admin.execute(f'DROP ROLE "{role}"')
        await admin.close()


@pytest.mark.parametrize("how", ["55000", "28P01", "28000", "53300"])
async def test_a_database_that_refuses_us_is_503_everywhere(
    refusing: Refusing, open_providers: OpenProvider, how: str
) -> None:
    provider: Provider = await open_providers(refusing.backend)
    client, account = await provider.create_client(), await provider.create_user()
    browser = provider.browser()
    page = await browser.get("/authorize", provider.authorization_parameters(client))
    await refusing.refuse(how)

    responses = [
        await provider.http.get("/jwks"),
        await provider.token(client, grant_type="client_credentials"),
        await provider.redeem(client, "a-code"),
        await provider.http.get("/authorize", params=provider.authorization_parameters(client)),
        await provider.http.get("/login"),
    ]
    form = {"username": account.username, "password": account.password}
    page = await browser.submit(page, form, button="#login-submit")

    assert [response.status_code for response in responses] == [503] * len(responses)
    assert page.status == 503
    for headers in (page.headers, *(response.headers for response in responses)):
        assert int(headers["retry-after"]) >= 1
    ready = await provider.http.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["database"]["status"]) == (503, "error")
    assert (await provider.http.get("/healthz")).status_code == 200
