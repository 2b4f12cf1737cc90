"""A stranger uses the guarded client up, so that another client's keys are out of reach."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from authsvc.outbound import Lane
from authsvc.outbound.breakers import FAILURES
from authsvc.outbound.lanes import LANES
from authsvc.outbound.lookups import MAX_LOOKUPS
from authsvc.outbound.slots import MAX_REQUESTS, MAX_REQUESTS_PER_HOST
from tests.client_keys import assertion_parameters, claims_for, public_jwk, sign
from tests.conftest import Backend, OpenProvider
from tests.outbound.open_client import (
    ProgrammedResolver,
    RecordingDialer,
    SlowResolver,
    failure_of,
    open_outbound,
)
from tests.provider import Provider, TestClient
from tests.registration import WEB, registered
from tests.web_servers import Answer, ReceivedRequest, WebServer, open_web_server


@pytest.fixture
async def victim() -> AsyncIterator[WebServer]:
    """The host of a client that is attacked, with its keys."""
    async with open_web_server(tls=False) as server:
        server.respond("/jwks", body=b"keys")
        yield server


@pytest.fixture
async def evil() -> AsyncIterator[WebServer]:
    """A host of the attacker's."""
    async with open_web_server(tls=False) as server:
        yield server


async def _hang(_request: ReceivedRequest) -> Answer:
    await asyncio.Event().wait()
    return Answer()


@pytest.mark.parametrize("lane", LANES)
async def test_redirects_just_before_the_deadline_do_not_shut_off_where_they_lead(
    lane: Lane, victim: WebServer, evil: WebServer
) -> None:
    async with open_outbound(seconds=0.5) as outbound:

        async def late(_request: ReceivedRequest) -> Answer:
            await asyncio.sleep(0.3)  # what is left is less than the victim takes
            return Answer(302, {"Location": f"{victim.url}/jwks"})

        async def keys(_request: ReceivedRequest) -> Answer:
            await asyncio.sleep(0.3)
            return Answer(body=b"keys")

        victim.handle("/jwks", keys)
        for number in range(FAILURES + 1):
            evil.handle(f"/{number}", late)
            error = await failure_of(outbound, f"{evil.url}/{number}", lane=lane)
            assert error.reason == "the host took too long"
        assert len(victim.requests) == FAILURES + 1
        assert await outbound.get(f"{victim.url}/jwks", lane="essential") == b"keys"


@pytest.mark.parametrize("lane", LANES)
async def test_redirects_to_a_host_that_cannot_be_reached_just_then_do_not_shut_it_off(
    lane: Lane,
) -> None:
    async with open_web_server(hosts=["evil.example", "victim.example"]) as server:
        resolver = ProgrammedResolver(
            {"evil.example": [["1.1.1.1"]], "victim.example": [["8.8.8.8"]]}
        )
        dialer = RecordingDialer(server.port, dead=["8.8.8.8"])
        server.respond("/jwks", body=b"keys")
        async with open_outbound(
            loopback=False, ca_file=server.ca_file, resolver=resolver, dialer=dialer
        ) as outbound:
            for number in range(FAILURES + 1):
                server.respond(f"/{number}", 302, {"Location": "https://victim.example/jwks"})
                await failure_of(outbound, f"https://evil.example/{number}", lane=lane)
            dialer.dead = frozenset()
            keys = await outbound.get("https://victim.example/jwks", lane="essential")
            assert keys == b"keys"


@pytest.mark.parametrize("lane", LANES)
async def test_urls_on_the_victims_host_that_fail_do_not_shut_off_its_others(
    lane: Lane, victim: WebServer
) -> None:
    async with open_outbound(seconds=0.3) as outbound:
        victim.respond("/error", 500)
        victim.handle("/hang", _hang)
        for path in ("/error", "/hang"):
            for number in range(FAILURES + 1):
                await failure_of(outbound, f"{victim.url}{path}?{number}", lane=lane)
        assert await outbound.get(f"{victim.url}/jwks", lane="essential") == b"keys"


@pytest.mark.parametrize("lane", LANES)
async def test_a_port_of_the_victims_host_where_nobody_listens_does_not_shut_off_its_others(
    lane: Lane, victim: WebServer
) -> None:
    async with open_web_server(tls=False) as closed:
        url = closed.url
    async with open_outbound() as outbound:
        for number in range(FAILURES + 1):
            error = await failure_of(outbound, f"{url}/{number}", lane=lane)
        assert error.outcome == "breaker_open"
        assert await outbound.get(f"{victim.url}/jwks", lane="essential") == b"keys"


async def test_the_very_url_of_the_keys_named_as_a_logo_shuts_nothing_off(
    victim: WebServer,
) -> None:
    async def keys(request: ReceivedRequest) -> Answer:
        # Not what it was made for, so it falls over.
        return Answer(body=b"keys") if "json" in request.headers["accept"] else Answer(500)

    victim.handle("/jwks", keys)
    victim.respond("/logout", 500)
    async with open_outbound() as outbound:
        for number in range(FAILURES + 1):
            for path in ("/jwks", "/logout"):
                url = f"{victim.url}{path}#{number}"
                with pytest.raises(Exception, match=r"500|alone"):
                    await outbound.get(url, accept="image/*")
        victim.respond("/logout", 204)
        assert await outbound.get(f"{victim.url}/jwks", lane="essential") == b"keys"
        assert await outbound.post_form(f"{victim.url}/logout", {"logout_token": "x"}) == 204


async def test_the_url_of_the_keys_named_as_a_logo_does_not_push_them_out_of_the_cache(
    victim: WebServer,
) -> None:
    victim.respond("/jwks", headers={"Cache-Control": "max-age=60"}, body=b"keys")
    async with open_outbound() as outbound:
        for _ in range(5):
            await outbound.get(f"{victim.url}/jwks", lane="essential")
            await outbound.get(f"{victim.url}/jwks", accept="image/*")
            await outbound.get(f"{victim.url}/jwks")
        assert len(victim.requests) == 3


async def test_content_that_hangs_everywhere_leaves_the_keys_their_slots() -> None:
    hosts = MAX_REQUESTS // MAX_REQUESTS_PER_HOST
    names = {f"h{number}.com": [["1.1.1.1"]] for number in range(hosts)}
    async with open_web_server(hosts=[*names, "victim.example"]) as server:
        resolver = ProgrammedResolver({**names, "victim.example": [["8.8.8.8"]]})
        full = asyncio.Event()

        async def hang(_request: ReceivedRequest) -> Answer:
            if len(server.requests) == MAX_REQUESTS:
                full.set()
            await asyncio.Event().wait()
            return Answer()

        server.handle("/", hang)
        server.respond("/jwks", body=b"keys")
        async with open_outbound(
            loopback=False,
            ca_file=server.ca_file,
            resolver=resolver,
            dialer=RecordingDialer(server.port),
            seconds=10,
        ) as outbound:
            held = [
                asyncio.create_task(outbound.get(f"https://{name}/?{number}"))
                for name in names
                for number in range(MAX_REQUESTS_PER_HOST)
            ]
            async with asyncio.timeout(20):
                await full.wait()
            keys = await outbound.get("https://victim.example/jwks", lane="essential")
            assert keys == b"keys"
            assert not any(one.done() for one in held)
        await asyncio.gather(*held, return_exceptions=True)


async def test_slow_names_leave_the_keys_their_look_ups_and_count_on_no_breaker_of_others() -> None:
    async with open_web_server(hosts=["victim.example"]) as server:
        resolver = SlowResolver({"victim.example": [["8.8.8.8"]]})
        server.respond("/jwks", body=b"keys")
        async with open_outbound(
            loopback=False,
            ca_file=server.ca_file,
            resolver=resolver,
            dialer=RecordingDialer(server.port),
            seconds=0.5,
        ) as outbound:
            slow = [
                failure_of(outbound, f"https://slow.d{number}.com", lane="content")
                for number in range(2 * MAX_LOOKUPS)
            ]
            await asyncio.gather(*slow)
            # All callers have given up, and no thread has.
            assert resolver.waiting == MAX_LOOKUPS
            for number in range(FAILURES + 1):
                url = f"https://victim.example/jwks?{number}"
                error = await failure_of(outbound, url, lane="content")
                assert error.reason == "too many look-ups are under way"
            keys = "https://victim.example/jwks"
            assert await outbound.get(keys, lane="essential") == b"keys"
            resolver.go_on.set()
            await resolver.until_waiting(0)
            assert await outbound.get(keys, lane="content") == b"keys"


async def _client_with_keys(provider: Provider, victim: WebServer) -> TestClient:
    keys = orjson.dumps({"keys": [public_jwk("ES256")]})
    victim.respond("/jwks", headers={"Cache-Control": "no-store"}, body=keys)
    return await provider.create_client(
        token_endpoint_auth_method="private_key_jwt", jwks_uri=f"{victim.url}/jwks"
    )


async def test_logos_of_a_stranger_do_not_keep_a_client_from_authenticating(
    sqlite_backend: Backend, open_providers: OpenProvider, victim: WebServer, evil: WebServer
) -> None:
    provider = await open_providers(sqlite_backend, outbound_loopback=True, registration="open")
    client = await _client_with_keys(provider, victim)
    victim.respond("/error", 500)
    for number in range(FAILURES + 1):
        for path in (f"/error?{number}", f"/jwks?{number}", "/jwks"):
            made = await registered(provider, {**WEB, "logo_uri": f"{victim.url}{path}"})
            answer = await provider.http.get(f"/clients/{made['client_id']}/logo")
            assert answer.status_code == 404
    assertion = sign(claims_for(client.client_id), "ES256")
    answer = await provider.http.post(
        "/token", data={"grant_type": "client_credentials", **assertion_parameters(assertion)}
    )
    assert answer.status_code == 200


async def test_a_logo_that_fails_is_not_fetched_for_each_person_who_looks(
    sqlite_backend: Backend, open_providers: OpenProvider, evil: WebServer
) -> None:
    provider = await open_providers(sqlite_backend, outbound_loopback=True, registration="open")
    made = await registered(provider, {**WEB, "logo_uri": f"{evil.url}/logo"})
    for _ in range(9):
        await provider.http.get(f"/clients/{made['client_id']}/logo")
    assert len(evil.requests) == 1
    provider.clock.move(seconds=30)
    await provider.http.get(f"/clients/{made['client_id']}/logo")
    assert len(evil.requests) == 2
