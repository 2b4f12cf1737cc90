"""Who is asking: forwarded addresses are believed of trusted proxies alone."""

import ipaddress
import time
from typing import Any

import httpx
import pytest

from authsvc.web.proxies import find_client_address, is_trusted_peer
from tests.provider import Provider, TestClient

TRUSTED = tuple(
    ipaddress.ip_network(network) for network in ("127.0.0.0/8", "::1/128", "10.0.0.0/8")
)
CALLER = "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "x_forwarded_for", "address"),
    [
        ("198.51.100.1", [], [CALLER], "198.51.100.1"),
        ("198.51.100.1", [f"for={CALLER}"], [], "198.51.100.1"),
        ("unknown", [], [CALLER], "unknown"),
        ("10.0.0.1", [], [], "10.0.0.1"),
        ("10.0.0.1", [], [CALLER], CALLER),
        ("::ffff:10.0.0.1", [], [CALLER], CALLER),
        ("10.0.0.1", [], [f"1.2.3.4, {CALLER}"], CALLER),
        ("10.0.0.1", [], ["1.2.3.4", CALLER], CALLER),
        ("10.0.0.1", [], [f"1.2.3.4,{CALLER}, 10.0.0.9"], CALLER),
        ("10.0.0.1", [], ["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
        ("10.0.0.1", [], [f"{CALLER}:4711"], CALLER),
        ("10.0.0.1", [], ["2001:DB8::1"], "2001:db8::1"),
        ("10.0.0.1", [], ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", [], ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], [f"{CALLER}, nonsense, 10.0.0.9"], "10.0.0.9"),
        ("10.0.0.1", [], [""], "10.0.0.1"),
        ("10.0.0.1", [], [", ,"], "10.0.0.1"),
        ("10.0.0.1", [f"for={CALLER}"], [], CALLER),
        ("10.0.0.1", [f"For={CALLER};proto=https;by=10.0.0.1"], [], CALLER),
        ("10.0.0.1", ['for="[2001:db8::1]:4711"'], [], "2001:db8::1"),
        ("10.0.0.1", [f"for=1.2.3.4, for={CALLER}, for=10.0.0.9"], [], CALLER),
        ("10.0.0.1", ["for=1.2.3.4", f"for={CALLER}"], [], CALLER),
        ("10.0.0.1", ["for=_hidden"], [], "10.0.0.1"),
        ("10.0.0.1", ["for=unknown"], [], "10.0.0.1"),
        ("10.0.0.1", ["for=1.2.3.4, proto=https;by=10.0.0.1"], [], "10.0.0.1"),
        ("10.0.0.1", ["for=1.2.3.4, by=10.0.0.1, for=10.0.0.9"], [], "10.0.0.9"),
        ("10.0.0.1", ["for=1.2.3.4", "by=10.0.0.1"], [], "10.0.0.1"),
        ("10.0.0.1", ["for=1.2.3.4, ;"], [], "10.0.0.1"),
        ("10.0.0.1", ["for=1.2.3.4, "], [], "1.2.3.4"),
        ("10.0.0.1", [f"for=1.2.3.4;for={CALLER}"], [], "10.0.0.1"),
        ("10.0.0.1", [f'for={CALLER};host="a, for=1.2.3.4"'], [], CALLER),
        ("10.0.0.1", [f'for={CALLER};host="a, for=1.2.3.4;b";proto=https'], [], CALLER),
        ("10.0.0.1", [f'for={CALLER};host="a\\", for=\\"1.2.3.4"'], [], CALLER),
        ("10.0.0.1", [f'host="for=1.2.3.4;";for={CALLER}'], [], CALLER),
        ("10.0.0.1", ['host="a, for=1.2.3.4"'], [], "10.0.0.1"),
        ("10.0.0.1", [f'for=1.2.3.4;host="a, for={CALLER}'], [], CALLER),
        ("10.0.0.1", [f'for=1.2.3.4;host="a, for={CALLER}, for="10.0.0.9"'], [], CALLER),
        ("10.0.0.1", ['for=1.2.3.4;x=", for="[2001:db8::1]"'], [], "2001:db8::1"),
        ("10.0.0.1", ['for=1.2.3.4, for="10.0.0.9'], [], "10.0.0.1"),
        ("10.0.0.1", ["for=1.2.3.4, for 10.0.0.9, for=10.0.0.8"], [], "10.0.0.8"),
        ("10.0.0.1", ["for=1.2.3.4, " + "for=10.0.0.2, " * 40 + "for=10.0.0.2"], [], "10.0.0.2"),
        ("10.0.0.1", ["for=1.2.3.4"], [CALLER], CALLER),
        ("10.0.0.1", [], ["1.2.3.4, " + "10.0.0.2, " * 40 + "10.0.0.2"], "10.0.0.2"),
    ],
)
def test_the_chain_is_read_from_its_end_as_far_as_it_is_trusted(
    peer: str, forwarded: list[str], x_forwarded_for: list[str], address: str
) -> None:
    assert find_client_address(peer, forwarded, x_forwarded_for, TRUSTED) == address


@pytest.mark.parametrize("piece", [" ", ";", "a=b;", 'a="', 'a="\\', ","])
def test_a_long_header_that_is_malformed_is_read_in_no_time(piece: str) -> None:
    header = piece * (60_000 // len(piece)) + '"'
    before = time.process_time()
    find_client_address("10.0.0.1", [header], [], TRUSTED)
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("::2", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_a_peer_is_trusted_by_its_network(peer: str, trusted: bool) -> None:
    assert is_trusted_peer(peer, TRUSTED) is trusted


async def address_seen(
    provider: Provider, client: TestClient, peer: str, headers: dict[str, str]
) -> str:
    """Fail to authenticate from ``peer``; return the address in the audit log."""
    transport = httpx.ASGITransport(provider.app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        auth = httpx.BasicAuth(client.client_id, "x" * 40)
        data = {"grant_type": "client_credentials"}
        response = await http.post("/token", data=data, auth=auth, headers=headers)
    assert response.status_code == 401
    return (await provider.audit_events("client.authentication_failed"))[0].address


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("127.0.0.1", {}, "127.0.0.1"),
        ("127.0.0.1", {"X-Forwarded-For": CALLER}, CALLER),
        ("127.0.0.1", {"Forwarded": f"for={CALLER}"}, CALLER),
        ("198.51.100.1", {"X-Forwarded-For": CALLER}, "198.51.100.1"),
        ("198.51.100.1", {"Forwarded": f"for={CALLER}"}, "198.51.100.1"),
    ],
)
async def test_the_audit_log_has_the_address_of_the_caller(
    sqlite_provider: Provider, peer: str, headers: dict[str, str], address: str
) -> None:
    client = await sqlite_provider.create_client()
    assert await address_seen(sqlite_provider, client, peer, headers) == address


async def test_the_setting_says_who_is_trusted(sqlite_backend: Any, open_providers: Any) -> None:
    provider: Provider = await open_providers(sqlite_backend, trusted_proxies="198.51.100.0/24")
    client = await provider.create_client()
    forwarded = {"X-Forwarded-For": CALLER}
    assert await address_seen(provider, client, "198.51.100.1", forwarded) == CALLER
    assert await address_seen(provider, client, "127.0.0.1", forwarded) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "given", "kept"),
    [
        ("127.0.0.1", "a-request-id-of-a-proxy", True),
        ("198.51.100.1", "a-request-id-of-a-proxy", False),
        ("127.0.0.1", "short", False),
        ("127.0.0.1", "x" * 65, False),
        ("127.0.0.1", "with spaces and <tags>", False),
    ],
)
async def test_a_request_id_is_taken_over_from_a_trusted_proxy_alone(
    sqlite_provider: Provider, peer: str, given: str, kept: bool
) -> None:
    transport = httpx.ASGITransport(sqlite_provider.app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        response = await http.get("/healthz", headers={"X-Request-ID": given})
    assert (response.headers["x-request-id"] == given) is kept


async def test_a_forwarded_host_or_scheme_changes_no_url(sqlite_provider: Provider) -> None:
    headers = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=203.0.113.7;host=evil.example;proto=https",
    }
    response = await sqlite_provider.http.get("/.well-known/openid-configuration", headers=headers)
    assert "evil.example" not in response.text
    assert response.json()["issuer"] == "http://127.0.0.1:8000"
    client = await sqlite_provider.create_client()
    response = await sqlite_provider.http.get(
        "/authorize",
        params=sqlite_provider.authorization_parameters(client),
        headers=headers,
    )
    assert response.headers["location"].startswith("/login?")
