"""HTTP and HTTPS servers on loopback whose every answer a test programs.

    async with open_web_server() as server:          # HTTPS, with a CA of its own
        server.respond("/jwks", body=b'{"keys":[]}', headers={"Cache-Control": "max-age=60"})
        ... something fetches f"{server.url}/jwks" and trusts server.ca_file ...
        assert server.requests[0].path == "/jwks"

``respond`` gives a path one answer for good; ``handle`` gives it a function that answers
each request; ``speak`` gives it a function that writes bytes itself, for a peer that
does not play by the rules. No answer carries a header that the test did not ask for, but
Content-Length and ``Connection: close``.
"""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.web_certificates import CertificateAuthority


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as the server read it; names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def form(self) -> dict[str, str]:
        """The fields of an ``application/x-www-form-urlencoded`` body."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


@dataclass(frozen=True)
class Answer:
    """What a handler answers with."""

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes = b""


Handler = Callable[[ReceivedRequest], Awaitable[Answer]]
Speaker = Callable[[ReceivedRequest, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class WebServer:
    """A running server: where it is, what it was asked, and what it answers."""

    url: str
    """Without a slash at its end: ``https://localhost:41234``."""
    port: int
    ca_file: Path | None
    """The certificate that a client of an HTTPS server must trust; None for HTTP."""
    requests: list[ReceivedRequest] = field(default_factory=list)
    _speakers: dict[str, Speaker] = field(default_factory=dict)

    def respond(
        self,
        path: str,
        status: int = 200,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer every request for ``path`` like this, until told otherwise."""

        async def answer(_request: ReceivedRequest) -> Answer:
            return Answer(status, headers, body)

        self.handle(path, answer)

    def handle(self, path: str, handler: Handler) -> None:
        """Answer every request for ``path`` with what ``handler`` returns for it."""

        async def speak(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(_serialize(await handler(request)))
            await writer.drain()

        self.speak(path, speak)

    def speak(self, path: str, speaker: Speaker) -> None:
        """Let ``speaker`` write the bytes of every answer for ``path``."""
        self._speakers[path] = speaker

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, answer it (404 for a path nobody programmed), and close."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                request = await _read(reader)
                self.requests.append(request)
                speaker = self._speakers.get(request.path)
                if speaker is None:
                    writer.write(_serialize(Answer(404)))
                else:
                    await speaker(request, writer)
            finally:
                writer.close()
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> ReceivedRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _version = head[0].split(" ")
    pairs = [line.split(":", 1) for line in head[1:] if line]
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return ReceivedRequest(method, target, headers, body)


def _serialize(answer: Answer) -> bytes:
    headers = answer.headers
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if "content-length" not in {name.lower() for name, _ in pairs} and answer.status != 304:
        pairs.append(("Content-Length", str(len(answer.body))))
    pairs.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {answer.status} Answer", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body


@asynccontextmanager
async def open_web_server(
    *,
    tls: bool = True,
    hosts: Sequence[str] = ("localhost", "127.0.0.1", "::1"),
    authority: CertificateAuthority | None = None,
    server_tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WebServer]:
    """Run a server on 127.0.0.1, on a free port, in the test's own loop.

    ``hosts`` are the names and addresses of its certificate; ``authority`` issues it,
    so that several servers can share one ``ca_file`` (else each has its own);
    ``server_tls`` replaces the TLS context, for a server that offers the wrong thing.
    """
    async with contextlib.AsyncExitStack() as stack:
        ca_file, context = None, None
        if tls:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            authority = authority or CertificateAuthority(folder)
            ca_file = authority.ca_file
            context = server_tls or authority.server_context(hosts)
        connections: set[asyncio.Task[None]] = set()
        server = WebServer("", 0, ca_file)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                connections.add(task)
                task.add_done_callback(connections.discard)
            with contextlib.suppress(asyncio.CancelledError):  # the end of the test
                await server.serve(reader, writer)

        listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        server.port = listener.sockets[0].getsockname()[1]
        server.url = f"{'https' if tls else 'http'}://localhost:{server.port}"
        try:
            yield server
        finally:
            listener.close()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            await listener.wait_closed()
