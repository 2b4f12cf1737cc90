"""Attacks on dynamic registration: races, guessed tokens, other clients, hidden hosts."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Any

import httpx
import pytest
import structlog

from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.storage.schema import metadata as tables
from authsvc.web import middleware
from tests.answers import check_error
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider
from tests.registration import WEB, bearer, client_of, initial_token, manage, register, registered
from tests.web_servers import WebServer, open_web_server


@pytest.fixture
async def opened(sqlite_backend: Backend, open_providers: OpenProvider) -> Provider:
    """A provider that lets strangers register clients."""
    provider: Provider = await open_providers(sqlite_backend, registration="open")
    return provider


@pytest.fixture
async def inside() -> AsyncIterator[WebServer]:
    """A host of the network that the service stands in."""
    async with open_web_server(tls=False) as server:
        yield server


async def test_one_token_used_by_many_at_once_registers_one_client(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend, registration="token") for _ in range(2)]
    token = await initial_token(replicas[0], uses=1)

    answers = await asyncio.gather(
        *(register(replicas[number % 2], token=token) for number in range(10))
    )

    statuses = sorted(response.status_code for response in answers)
    assert statuses == [201] + [401] * 9
    assert len(await replicas[0].audit_events("client.created")) == 1


async def test_changes_at_once_are_one_after_the_other_or_refused(
    backend: Backend, open_providers: OpenProvider
) -> None:
    replicas = [await open_providers(backend, registration="open") for _ in range(2)]
    made = await registered(replicas[0])
    changes = [
        manage(
            replicas[number % 2],
            "PUT",
            made,
            {**WEB, "client_id": made["client_id"], "client_name": f"Name {number}"},
        )
        for number in range(6)
    ]
    answers = await asyncio.gather(*changes, manage(replicas[0], "DELETE", made))

    assert answers[-1].status_code == 204
    assert {response.status_code for response in answers[:-1]} <= {200, 401, 409, 503}
    check_error(await manage(replicas[1], "GET", made), 401, "invalid_token")


async def test_a_wrong_token_another_clients_and_an_unknown_client_are_one_answer(
    opened: Provider,
) -> None:
    victim, attacker = await registered(opened), await registered(opened)
    plain = await opened.create_client()
    initial = await initial_token(opened)
    base = f"{opened.settings.issuer}/register"
    token = attacker["registration_access_token"]
    attempts = [
        (victim["client_id"], token),
        (victim["client_id"], "x" * 43),
        (victim["client_id"], initial),
        (victim["client_id"], victim["client_secret"]),
        (plain.client_id, token),
        ("nobody", token),
        ("%00", token),
        ("%ED%A0%80", token),
        ("x" * 3_000, token),
    ]
    answers: list[httpx.Response] = []
    for client_id, presented in attempts:
        for method in ("GET", "PUT", "DELETE"):
            content = {**WEB, "client_id": client_id}
            answers.append(
                await opened.http.request(
                    method, f"{base}/{client_id}", json=content, headers=bearer(presented)
                )
            )
    for answer in answers:
        check_error(answer, 401, "invalid_token")
    assert len({(a.content, a.headers["www-authenticate"]) for a in answers}) == 1
    assert (await manage(opened, "GET", victim)).status_code == 200


async def test_a_stolen_database_opens_no_registration(
    backend: Backend, open_providers: OpenProvider
) -> None:
    """What is stored is neither the tokens nor a hash that anybody could make."""
    provider = await open_providers(backend, registration="open")
    initial = await initial_token(provider, uses=5)
    made = await registered(provider, token=initial)
    secrets = [initial, made["registration_access_token"], made["client_secret"]]
    needles = [
        form
        for secret in secrets
        for form in (secret.encode(), hashlib.sha256(secret.encode()).digest())
    ]
    stored = b""
    async with provider.resources.database.reading() as tx:
        for table in tables.sorted_tables:
            for row in await tx.execute(table.select()):
                stored += b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in row)

    assert made["client_id"].encode() in stored
    assert [needle for needle in needles if needle in stored] == []


async def test_no_token_is_logged(opened: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(middleware, "log", log)
    initial = await initial_token(opened)
    made = await registered(opened, token=initial)
    await manage(opened, "GET", made)
    await manage(opened, "DELETE", made)
    check_error(await manage(opened, "GET", made), 401, "invalid_token")

    lines = [str(call) for call in log.calls]
    assert len(lines) == 4
    assert "'route': '/register/{client_id}'" in lines[1]
    assert made["client_id"] in lines[0]
    for secret in (initial, made["registration_access_token"], made["client_secret"]):
        assert secret not in "".join(lines)


async def test_a_stranger_without_a_token_makes_the_server_ask_no_host(
    sqlite_backend: Backend, open_providers: OpenProvider, inside: WebServer
) -> None:
    provider = await open_providers(sqlite_backend, registration="token", outbound_loopback=True)
    metadata = {**WEB, "sector_identifier_uri": f"{inside.url}/sector"}
    for token in (None, "x" * 43, "a.b.c"):
        assert (await register(provider, metadata, token=token)).status_code == 401
    assert inside.requests == []


@pytest.mark.parametrize(
    "member", ["sector_identifier_uri", "jwks_uri", "logo_uri", "backchannel_logout_uri"]
)
async def test_registering_an_address_inside_reaches_nothing(
    opened: Provider, inside: WebServer, member: str
) -> None:
    response = await register(opened, {**WEB, member: f"{inside.url}/secret"})
    assert response.status_code in (201, 400)
    if response.status_code == 201:
        client_id = response.json()["client_id"]
        assert (await opened.http.get(f"/clients/{client_id}/logo")).status_code == 404
    assert inside.requests == []


async def test_a_client_can_not_take_over_another_by_what_it_sends(opened: Provider) -> None:
    victim = await opened.create_client(client_id="victim")
    for member in ("client_id", "registration_client_uri", "registration_access_token"):
        made = await registered(opened, {**WEB, member: victim.client_id})
        assert made["client_id"] != "victim"
    thief = await registered(opened)
    content = {**WEB, "client_id": "victim", "client_name": "Taken"}
    check_error(await manage(opened, "PUT", thief, content), 400, "invalid_request")
    client = await opened.server.clients.find("victim")
    assert client is not None
    assert client.metadata.client_name is None


async def test_a_registration_access_token_is_good_for_nothing_else(opened: Provider) -> None:
    made = await registered(opened)
    token = made["registration_access_token"]
    assert (await opened.userinfo(token)).status_code == 401
    response = await opened.http.get("/admin/v1/clients", headers=bearer(token))
    assert response.status_code == 401
    check_error(await register(opened, token=token), 401, "invalid_token")
    other: Any = await opened.create_client()
    assert (await opened.introspect(other, token)) == {"active": False}


async def test_registering_takes_nobodys_consent_along(opened: Provider) -> None:
    """A new client with the name and redirect URI of a trusted one still has to ask."""
    account, browser = await opened.create_user(), opened.browser()
    trusted = client_of(await registered(opened, {**WEB, "scope": "openid email"}))
    await opened.authorize(browser, trusted, account, scope="openid email")
    twin = client_of(await registered(opened, {**WEB, "scope": "openid email"}))
    page = await browser.get(
        "/authorize", opened.authorization_parameters(twin, scope="openid email")
    )
    assert page.has("#consent-approve")


@pytest.mark.parametrize(
    "value",
    [0, -1, 1.5, True, "", " ", "x" * 20_000, "é\u202e", "a\tb", [], [[]], [None], {}, {"keys": 1},
     {"keys": [{"kty": "RSA"}]}, ["x"] * 101, "https://[::1", "https://a.example:99999/", "//x"],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
async def test_any_value_of_any_member_is_registered_or_refused_cleanly(
    opened: Provider, value: object
) -> None:
    members = [field.name for field in fields(ClientMetadata) if field.name != "localized"]
    for member in (*members, "client_name#de", "logo_uri#x y", "#", "unknown"):
        response = await register(opened, {**WEB, member: value})
        if response.status_code != 201:
            assert response.json()["error"].startswith("invalid_"), response.text
            check_error(response, 400, response.json()["error"])
            continue
        read = await manage(opened, "GET", response.json())
        assert read.status_code == 200, (member, value)


async def test_registering_makes_nobody_forget_the_clients_in_memory(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, registration="open")
    client = await provider.create_client()
    known = await provider.server.clients.find(client.client_id)
    for _ in range(3):
        await registered(provider)
    assert await provider.server.clients.find(client.client_id) is known


async def test_a_name_that_is_markup_is_text_on_the_consent_page(opened: Provider) -> None:
    account, browser = await opened.create_user(), opened.browser()
    name = "<script>alert(1)</script>\"'>"
    client = client_of(await registered(opened, {**WEB, "client_name": name, "scope": "openid"}))
    page = await browser.get("/authorize", opened.authorization_parameters(client, scope="openid"))
    page = await browser.submit(
        page,
        {"username": account.username, "password": account.password},
        button="#login-submit",
    )
    assert page.has("#consent-approve")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
