"""Traces by OpenTelemetry, where they are switched on.

Its packages are an extra, and nothing of them is imported while traces are off. A request
has a span, and so has what takes time within it; what runs beside requests has none. A
span carries what a request did, never who made it or with what: no parameter, no header,
no address, no name, no text of an exception.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Attributes = Mapping[str, str | int]

_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_PARTING_SECONDS: Final = 3.0
_NOTHING: Final = nullcontext()
_current: ContextVar[Tracing | None] = ContextVar("tracing", default=None)


def is_installed() -> bool:
    """Tell whether the packages of the extra ``otel`` are there."""
    try:
        return find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:
        return False


def is_traced() -> bool:
    """Tell whether a span that is opened now goes anywhere."""
    return _current.get() is not None


def span(name: str, attributes: Attributes | None = None) -> AbstractContextManager[object]:
    """Return a span within that of the request; without one, nothing."""
    tracing = _current.get()
    return _NOTHING if tracing is None else tracing.child(name, attributes)


def trace_headers() -> dict[str, str]:
    """Return the header by which another service continues the trace (W3C Trace Context §3.2)."""
    tracing = _current.get()
    return {} if tracing is None else tracing.headers()


class RequestSpan:
    """The span of a request; ``trace_id`` in hexadecimal."""

    def __init__(self, opened: Span) -> None:
        self._span = opened
        self.trace_id = f"{opened.get_span_context().trace_id:032x}"

    def finish(self, method: str, route: str, status: int) -> None:
        """Note what the request turned out to be."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415  # an extra

        self._span.update_name(f"{method} {route}")
        self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)


class Tracing:
    """Opens spans. What a caller says of its own trace is a link, see ``request``."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("authsvc")

    @contextmanager
    def request(self, method: str, traceparents: Sequence[str]) -> Iterator[RequestSpan]:
        """Open the span of a request, in a trace of its own.

        The trace that the caller names is linked, not continued: a stranger would else
        choose by its flag, or by an identifier that the sampler takes, that each of its
        requests is recorded. A proxy passes the header of a stranger on like its own.
        """
        from opentelemetry.context import Context  # noqa: PLC0415  # an extra
        from opentelemetry.trace import SpanKind  # noqa: PLC0415  # same

        with self._tracer.start_as_current_span(
            method,
            context=Context(),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
            links=_links(traceparents),
            record_exception=False,
            set_status_on_exception=False,
        ) as opened:
            # Of a request that is not recorded nothing within it is looked at either.
            before = _current.set(self if opened.is_recording() else None)
            try:
                yield RequestSpan(opened)
            finally:
                _current.reset(before)

    @contextmanager
    def child(self, name: str, attributes: Attributes | None) -> Iterator[None]:
        """Open a span within the current one; an exception leaves the name of its class."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415  # an extra

        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as opened:
            try:
                yield
            except Exception as error:
                opened.set_attribute("error.type", type(error).__name__)
                opened.set_status(StatusCode.ERROR)
                raise

    def headers(self) -> dict[str, str]:
        """Return ``traceparent`` for the current span."""
        carrier: dict[str, str] = {}
        _propagator().inject(carrier)
        return {name: value for name, value in carrier.items() if name == "traceparent"}


@asynccontextmanager
async def open_tracing(*, enabled: bool) -> AsyncIterator[Tracing | None]:
    """Open an exporter over OTLP, set by the ``OTEL_`` variables; None where not ``enabled``.

    What is left is sent at the end, for three seconds at most: a collector that is away holds
    up neither requests nor the end of the process.
    """
    if not enabled:
        yield None
        return
    provider = _open_provider()
    try:
        yield Tracing(provider)
    finally:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _PARTING_SECONDS)


def _open_provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # an extra
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # same
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # same
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  # same

    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "authsvc"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _links(traceparents: Sequence[str]) -> list[Link]:
    from opentelemetry.trace import Link, get_current_span  # noqa: PLC0415  # an extra

    if len(traceparents) != 1:
        return []
    found = get_current_span(_propagator().extract({"traceparent": traceparents[0]}))
    named = found.get_span_context()
    return [Link(named)] if named.is_valid and named.is_remote else []


def _propagator() -> TraceContextTextMapPropagator:
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415  # an extra
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator()
