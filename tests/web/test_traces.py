"""Traces: what they show, and what they never do. The exporter is the real one."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from authsvc.app import create_app
from authsvc.config import ConfigError
from authsvc.logs import get_logger
from tests.conftest import Backend
from tests.provider import open_provider
from tests.trace_receiver import TraceReceiver, open_trace_receiver
from tests.web_servers import open_web_server

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_CALLER = f"00-{_TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[TraceReceiver]:
    """A collector that the standard variables name."""
    with open_trace_receiver() as opened:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", opened.url)
        yield opened


def _attributes(span: Span) -> dict[str, object]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


async def test_a_request_shows_where_its_time_went(
    sqlite_backend: Backend, receiver: TraceReceiver
) -> None:
    async with open_provider(sqlite_backend.settings(traces="otlp")) as provider:
        client = await provider.create_client()
        await provider.sign_in(client, await provider.create_user())
    (request,) = receiver.named("POST /token")
    assert request.kind == Span.SPAN_KIND_SERVER
    assert not request.parent_span_id
    assert _attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/token",
        "http.response.status_code": 200,
    }
    of_request = [span for span in receiver.spans if span.trace_id == request.trace_id]
    names = {span.name for span in of_request}
    assert {
        "authenticate client",
        "grant authorization_code",
        "sign",
        "database connect",
        "database SELECT",
        "database UPDATE",
        "database COMMIT",
    } <= names
    by_id = {span.span_id: span for span in of_request}
    (signed, *_) = [span for span in of_request if span.name == "sign"]
    assert by_id[signed.parent_span_id].name == "grant authorization_code"
    tables = {_attributes(span).get("db.collection.name") for span in of_request}
    assert "authorization_codes" in tables
    assert receiver.named("hash password")
    assert {resource["service.name"] for resource in receiver.resources} == {"authsvc"}


async def test_a_span_holds_no_secret_no_person_and_no_address(
    sqlite_backend: Backend, receiver: TraceReceiver
) -> None:
    async with open_provider(sqlite_backend.settings(traces="otlp")) as provider:
        client = await provider.create_client()
        account = await provider.create_user()
        tokens = await provider.sign_in(client, account)
        await provider.userinfo(tokens["access_token"])
        refused = await provider.http.post(
            "/token",
            data={"grant_type": "refresh_token", "refresh_token": "a-token-that-is-none"},
            auth=(client.client_id, client.secret or ""),
            headers={"User-Agent": "an-agent", "X-Forwarded-For": "192.0.2.77"},
        )
        assert refused.status_code == 400
        missing = await provider.http.get("/nowhere/a-path?a-query=secret")
        assert missing.status_code == 404
    sent = b"".join(receiver.bodies)
    assert b"POST /token" in sent
    for secret in (
        account.username, account.password, account.id, client.client_id, client.secret,
        tokens["access_token"], tokens["refresh_token"], tokens["id_token"],
        "a-token-that-is-none", "an-agent", "192.0.2.77", "127.0.0.1", "a-path", "a-query",
    ):  # fmt: skip
        assert secret is not None
        assert secret.encode() not in sent, secret
    keys = {each.key for span in receiver.spans for each in span.attributes}
    assert keys <= {
        "http.request.method", "http.route", "http.response.status_code",
        "db.collection.name", "error.type",
    }  # fmt: skip
    assert not [span for span in receiver.spans if span.events]


async def test_an_error_leaves_its_class_alone(
    sqlite_backend: Backend, receiver: TraceReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the text of the error")

    async with open_provider(sqlite_backend.settings(traces="otlp")) as provider:
        client = await provider.create_client(grant_types=["client_credentials"])
        monkeypatch.setattr("authsvc.oauth.issuing.mint_access_token", fail)
        answer = await provider.token(client, grant_type="client_credentials")
        assert answer.status_code == 500
    (request,) = receiver.named("POST /token")
    (grant,) = receiver.named("grant client_credentials")
    assert request.status.code == grant.status.code == Status.STATUS_CODE_ERROR
    assert _attributes(grant) == {"error.type": "RuntimeError"}
    assert b"the text of the error" not in b"".join(receiver.bodies)


async def test_a_caller_is_linked_and_decides_nothing(
    sqlite_backend: Backend,
    receiver: TraceReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_provider(sqlite_backend.settings(traces="otlp")) as provider:
        # The logger of the module keeps where it wrote to first.
        monkeypatch.setattr("authsvc.web.middleware.log", get_logger("test"))
        with capture_logs(processors=[merge_contextvars]) as lines:
            for traceparent in (_CALLER, "nonsense", f"00-{'0' * 32}-{'0' * 16}-01"):
                headers = {"traceparent": traceparent, "tracestate": "vendor=a-state"}
                assert (await provider.http.get("/healthz", headers=headers)).status_code == 200
    first, *others = receiver.named("GET /healthz")
    assert [link.trace_id.hex() for link in first.links] == [_TRACE]
    assert first.trace_id.hex() != _TRACE
    assert not first.parent_span_id
    assert len(others) == 2
    assert not [link for span in others for link in span.links]
    assert b"a-state" not in b"".join(receiver.bodies)
    logged = [line for line in lines if line["event"] == "request"]
    assert [line["trace_id"] for line in logged] == [
        span.trace_id.hex() for span in (first, *others)
    ]
    assert all(line["request_id"] for line in logged)
    receiver.bodies.clear()
    # Whoever asks to be recorded is not where nobody is.
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with open_provider(sqlite_backend.settings(traces="otlp")) as provider:
        await provider.http.get("/healthz", headers={"traceparent": _CALLER})
    assert not receiver.spans


async def test_an_outbound_request_continues_the_trace(
    sqlite_backend: Backend, receiver: TraceReceiver
) -> None:
    async with open_web_server() as server:
        server.respond("/logo.png", headers={"Content-Type": "image/png"}, body=b"\x89PNG")
        settings = sqlite_backend.settings(
            traces="otlp", outbound_loopback=True, outbound_ca_file=server.ca_file
        )
        async with open_provider(settings) as provider:
            client = await provider.create_client(logo_uri=f"{server.url}/logo.png")
            await provider.http.get(f"/clients/{client.client_id}/logo")
        (asked,) = server.requests
    (sent,) = receiver.named("outbound GET")
    continued = asked.headers["traceparent"]
    assert continued.startswith(f"00-{sent.trace_id.hex()}-{sent.span_id.hex()}-")
    assert server.url.encode() not in b"".join(receiver.bodies)


async def test_a_collector_that_is_away_does_not_hold_up_the_end(
    sqlite_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    async with open_provider(sqlite_backend.settings(traces="otlp")) as provider:
        assert (await provider.http.get("/healthz")).status_code == 200
        ended = time.monotonic()
    assert time.monotonic() - ended < 8


def test_the_service_runs_without_the_packages() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import authsvc.app, authsvc.tracing; print(authsvc.tracing.is_installed())"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert finished.stdout == "False\n"


def test_without_traces_no_exporter_is_imported() -> None:
    program = "import sys, authsvc.app; print('opentelemetry.exporter' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert finished.stdout == "False\n"


def test_traces_without_their_packages_stop_the_start(
    sqlite_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr("authsvc.tracing._EXPORTER", "no_such_package.exporter")
    with pytest.raises(ConfigError, match=r"AUTHSVC_TRACES .*authsvc\[otel\]"):
        create_app(sqlite_backend.settings(traces="otlp"))
