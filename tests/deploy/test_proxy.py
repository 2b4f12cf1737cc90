"""The proxy of compose.yaml: the real program, with its file as it is, before three replicas."""

import asyncio
import json
import os
import re
import shutil
import signal
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from authsvc.config import Settings
from tests.browser import Browser
from tests.conftest import MASTER_KEY, Backend, OpenProvider, prepare_now
from tests.deploy.dockerfile import REPOSITORY
from tests.deploy.exposure import EVERY_PATH, PRIVATE, paths_of
from tests.deploy.name_server import name_server
from tests.faults.relay import Relay
from tests.provider import Account as Person
from tests.provider import MovableClock, Provider, TestClient, open_provider
from tests.served import Served, serve
from tests.server_process import Account, ServerProcess, give_away, make_folder
from tests.server_programs import free_port
from tests.servers import PostgresServer, RedisServer, start_postgres
from tests.web_certificates import CertificateAuthority

pytestmark = pytest.mark.deploy

_CONFIGURATION = REPOSITORY / "deploy" / "compose" / "haproxy.cfg"
_PATIENCE = 60


@dataclass(frozen=True)
class Deployment:
    """Three replicas behind the proxy at ``issuer``, the last one on a line that can be cut."""

    issuer: str
    replicas: list[Served]
    tls: ssl.SSLContext
    proxy: ServerProcess
    postgres: PostgresServer
    line: Relay
    settings: Settings

    def client(self, address: str = "127.0.0.1") -> httpx.Client:
        """Return a client that connects from ``address``."""
        transport = httpx.HTTPTransport(verify=self.tls, local_address=address)
        return httpx.Client(transport=transport, base_url=self.issuer, timeout=10)

    def log_of_replicas(self) -> str:
        """Return what all replicas logged."""
        return "".join(replica.log.read_text() for replica in self.replicas)


class _ThroughTheProxy(Provider):
    """What a test does with the provider: all over the proxy."""

    def __init__(self, deployment: Deployment) -> None:
        self._tls = deployment.tls
        super().__init__(None, deployment.settings, MovableClock(), self._client(deployment))
        self._deployment = deployment

    def browser(self) -> Browser:
        browser = Browser(self._client(self._deployment))
        self._browsers.append(browser)
        return browser

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.close()
        await self.http.aclose()

    def _client(self, deployment: Deployment) -> httpx.AsyncClient:
        # A connection goes to one replica while it lasts: each request gets one of its own.
        alone = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncClient(
            verify=self._tls, base_url=deployment.issuer, limits=alone, timeout=10
        )


@pytest.fixture
async def provider(deployment: Deployment) -> AsyncIterator[Provider]:
    """The provider as the public reaches it."""
    through = _ThroughTheProxy(deployment)
    yield through
    await through.close()


@pytest.fixture
async def known(deployment: Deployment) -> tuple[TestClient, Person]:
    """A client and a person, made beside the replicas."""
    async with open_provider(deployment.settings) as operator:
        return await operator.create_client(), await operator.create_user()


@pytest.fixture(scope="module")
def deployment(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Replicas at three addresses of the loopback interface, which a name server knows."""
    folder = tmp_path_factory.mktemp("proxied")
    authority = CertificateAuthority(folder)
    public_port, inner_port = free_port(), free_port()
    addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    with ExitStack() as stack:
        # A server of our own, whatever the environment names: it is harmed.
        stack.enter_context(pytest.MonkeyPatch.context()).delenv(
            "AUTHSVC_TEST_DATABASE_URL", raising=False
        )
        postgres = stack.enter_context(start_postgres())
        database_url = postgres.create_database()
        prepare_now(database_url)
        port = urlsplit(database_url).port or 0
        line = stack.enter_context(Relay(port))
        issuer = f"https://localhost:{public_port}"
        redis_url = redis_server.create_database()
        variables = {
            "AUTHSVC_ENV": "production",
            "AUTHSVC_ISSUER": issuer,
            "AUTHSVC_REDIS_URL": redis_url,
            "AUTHSVC_MASTER_KEY": MASTER_KEY,
            "AUTHSVC_REGISTRATION": "open",
            "AUTHSVC_RATE_LIMITS": "off",
            "AUTHSVC_DRAIN_DELAY": "5",
        }
        replicas = []
        for address in addresses:
            own = folder / address
            own.mkdir()
            # The line leads to one replica alone, which can so lose the database alone.
            is_cut_off = address == addresses[-1]
            url = (
                database_url.replace(f":{port}/", f":{line.port}/") if is_cut_off else database_url
            )
            served = serve(
                {**variables, "AUTHSVC_DATABASE_URL": url}, own, host=address, port=inner_port
            )
            replicas.append(stack.enter_context(served))
        dns_port = stack.enter_context(name_server(addresses))
        of_proxy = {
            "PROXY_BIND": f"127.0.0.1:{public_port}",
            "PROXY_DNS": f"127.0.0.1:{dns_port}",
            "PROXY_REPLICAS": f"authsvc.test:{inner_port}",
        }
        proxy = stack.enter_context(_run_proxy(of_proxy, authority))
        tls = ssl.create_default_context(cafile=str(authority.ca_file))
        settings = Backend("postgres+redis", database_url, redis_url).settings(
            issuer=issuer, master_key=SecretStr(MASTER_KEY)
        )
        running = Deployment(issuer, replicas, tls, proxy, postgres, line, settings)
        _wait_for_every_replica(running)
        yield running


@contextmanager
def _run_proxy(
    variables: dict[str, str], authority: CertificateAuthority
) -> Iterator[ServerProcess]:
    account = Account.unprivileged()
    folder = make_folder(account)
    certificate = folder / "certificate"
    certificate.write_bytes(authority.server_pem(["localhost"]))
    shutil.copy(_CONFIGURATION, folder / "haproxy.cfg")
    give_away(folder, account)
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    given = {**variables, "PROXY_CERTIFICATE": str(certificate)}
    words = [f"{name}={value}" for name, value in given.items()]
    command = ["env", *words, program, "-db", "-f", str(folder / "haproxy.cfg")]
    process = ServerProcess(
        folder, command, stop_signal=signal.SIGUSR1, end_signal=signal.SIGTERM, account=account
    )
    try:
        process.start()
        yield process
    finally:
        process.close()


def _wait_for_every_replica(deployment: Deployment) -> None:
    """Wait until each replica has answered through the proxy."""
    deadline = time.monotonic() + _PATIENCE
    waiting = set(range(len(deployment.replicas)))
    while waiting:
        assert time.monotonic() < deadline, deployment.proxy.log_tail()
        with deployment.client() as http:
            try:
                identity = http.get("/jwks").headers.get("X-Request-ID", "unknown")
            except httpx.TransportError:
                continue
        waiting -= {
            number for number in waiting if identity in deployment.replicas[number].log.read_text()
        }


async def test_the_public_reaches_everything_but_what_is_private(
    deployment: Deployment, sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, issuer="https://auth.example.com", **EVERY_PATH)
    paths = paths_of(provider.app.routes)
    assert paths & PRIVATE == PRIVATE
    assert len(paths - PRIVATE) > 20
    with deployment.client() as http:
        reached = {
            path
            for path in paths
            # The proxy's own refusal carries no such header.
            if "X-Request-ID" in http.get(path).headers
        }
    assert reached == paths - PRIVATE


@pytest.mark.parametrize(
    "path",
    ["/%61dmin/v1/users", "//admin/v1/users", "/admin", "/token/../admin/v1/users",
     "/static/../metrics", "/static/..%2fmetrics", "/metrics/", "/%6detrics", "/READYZ",
     "/readyz?x=/token", "/token%2f..%2fmetrics", "/.well-known/../metrics"],
)  # fmt: skip
def test_no_way_of_writing_a_private_path_reaches_it(deployment: Deployment, path: str) -> None:
    # Sent as it is written, which clients of a higher kind do not.
    authority = deployment.issuer.removeprefix("https://")
    connection = HTTPSConnection(authority, context=deployment.tls, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 404
    assert b"authsvc_" not in body


def test_whoever_calls_is_known_by_their_address_whatever_they_say(
    deployment: Deployment,
) -> None:
    headers = [
        ("X-Forwarded-For", "203.0.113.7"), ("x-forwarded-for", "203.0.113.8"),
        ("Forwarded", "for=203.0.113.9"), ("X-Real-IP", "203.0.113.10"),
        ("X-Request-ID", "chosen-by-the-caller"), ("X-Forwarded-Host", "evil.example"),
    ]  # fmt: skip
    with deployment.client("127.0.0.9") as http:
        answer = http.get("/jwks", headers=headers)
    identity = answer.headers["X-Request-ID"]
    assert identity != "chosen-by-the-caller"
    deadline = time.monotonic() + 10
    while identity not in deployment.log_of_replicas():
        assert time.monotonic() < deadline, "the line is written after the answer"
        time.sleep(0.05)
    lines = [line for line in deployment.log_of_replicas().splitlines() if identity in line]
    assert [json.loads(line)["address"] for line in lines] == ["127.0.0.9"]
    assert "203.0.113." not in deployment.log_of_replicas()


def test_the_proxy_logs_no_query(deployment: Deployment) -> None:
    with deployment.client() as http:
        http.get("/authorize?client_id=none&state=a-secret-state")
    deadline = time.monotonic() + 10
    while "/authorize " not in deployment.proxy.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "a-secret-state" not in deployment.proxy.log.read_text()


def test_tls_is_1_2_or_later(deployment: Deployment) -> None:
    old = ssl.create_default_context(cafile=None)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx.Client(verify=old) as http:
        assert http.get(f"{deployment.issuer}/jwks").status_code == 200
    old.set_ciphers("AES256-SHA:AES128-SHA256")
    with httpx.Client(verify=old) as http, pytest.raises(httpx.ConnectError):
        http.get(f"{deployment.issuer}/jwks")


async def test_a_person_goes_the_whole_way_through_the_proxy(
    deployment: Deployment, provider: Provider, known: tuple[TestClient, Person]
) -> None:
    client, person = known
    browser = provider.browser()
    tokens = await provider.sign_in(client, person, browser)
    refreshed = await provider.refresh(client, tokens["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    assert (await provider.userinfo(tokens["access_token"])).json()["sub"] == person.id
    access_token = refreshed.json()["access_token"]
    assert (await provider.introspect(client, access_token))["active"]
    assert (await provider.revoke(client, refreshed.json()["refresh_token"])).status_code == 200
    for _ in range(2 * len(deployment.replicas)):
        assert not (await provider.introspect(client, access_token))["active"]
    page = await browser.get("/logout", {"id_token_hint": tokens["id_token"]})
    assert page.status == 200
    assert all(cookie.secure for cookie in browser.http.cookies.jar)


async def test_a_replica_that_alone_lost_the_database_is_passed_over(
    deployment: Deployment, provider: Provider, known: tuple[TestClient, Person]
) -> None:
    client, person = known
    tokens = await provider.sign_in(client, person)
    deployment.line.swallow()
    try:
        await _until_ready(deployment, [True, True, False])
        for _ in range(30):
            assert (await provider.userinfo(tokens["access_token"])).status_code == 200
    finally:
        deployment.line.flow()
    await _until_ready(deployment, [True, True, True])


async def test_without_the_database_what_is_in_memory_is_served_through_the_proxy(
    deployment: Deployment, provider: Provider, known: tuple[TestClient, Person]
) -> None:
    client, person = known
    tokens = await provider.sign_in(client, person)
    for _ in range(10 * len(deployment.replicas)):
        # Each replica meets the client.
        assert (await provider.token(client, grant_type="client_credentials")).status_code == 200
    deployment.postgres.stop()
    try:
        await _until_ready(deployment, [False, False, False])
        for _ in range(10):
            assert (await provider.http.get("/jwks")).status_code == 200
            answer = await provider.token(client, grant_type="client_credentials")
            assert answer.status_code == 200, answer.text
            answer = await provider.refresh(client, tokens["refresh_token"])
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
    finally:
        deployment.postgres.start()
    await _until_ready(deployment, [True, True, True])
    assert (await provider.refresh(client, tokens["refresh_token"])).status_code == 200


async def _until_ready(deployment: Deployment, wanted: list[bool]) -> None:
    """Return when the proxy has learnt which replicas are ready, as its own log says."""
    async with asyncio.timeout(_PATIENCE):
        while _ready_by_the_log(deployment) != wanted:  # noqa: ASYNC110  # it is another process
            await asyncio.sleep(0.05)


def _ready_by_the_log(deployment: Deployment) -> list[bool]:
    """Return whether the proxy takes each replica for ready, in the order of the replicas.

    Which slot has which address it says once, when it has looked the name up.
    """
    log = deployment.proxy.log.read_text()
    slots = {
        address: slot
        for slot, address in re.findall(r"ready/(replica\d+) changed its IP from \S+ to (\S+)", log)
    }
    states = []
    for replica in deployment.replicas:
        said = re.findall(rf"Server ready/{slots[replica.host]} (?:\('\S+'\) )?is (UP|DOWN)", log)
        states.append(said[-1] == "UP")
    return states


def test_no_request_fails_while_a_replica_is_taken_away(deployment: Deployment) -> None:
    failures: list[str] = []
    done = threading.Event()
    counted = [0]

    def ask() -> None:
        while not done.is_set():
            with deployment.client() as http:
                try:
                    # The proxy sends what changes something once, whatever becomes of it.
                    answers = http.get("/jwks"), http.post("/token", data={"grant_type": "x"})
                    counted[0] += 1
                    statuses = [answer.status_code for answer in answers]
                    if statuses != [200, 401]:
                        failures.append(f"{statuses}")
                except httpx.HTTPError as error:
                    failures.append(repr(error))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    leaving = deployment.replicas[-1].process
    leaving.send_signal(signal.SIGTERM)
    leaving.wait(_PATIENCE)
    enough = counted[0] + 100
    deadline = time.monotonic() + _PATIENCE
    while counted[0] < enough and not failures and time.monotonic() < deadline:
        time.sleep(0.05)
    done.set()
    for thread in asking:
        thread.join()
    assert not failures
    assert counted[0] >= enough


def test_where_nobody_lives_the_proxy_says_so_in_json(deployment: Deployment) -> None:
    for replica in deployment.replicas:
        replica.process.kill()
        replica.process.wait(_PATIENCE)
    with deployment.client() as http:
        answer = http.post("/token", data={"grant_type": "client_credentials"})
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["error"] == "temporarily_unavailable"
