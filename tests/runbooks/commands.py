"""Runs what the shim of ``authsvc`` asks for; see ``shim``."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.command import Cli


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        cli = Cli(Path(request["folder"]), request["variables"])
        done = cli.run(*request["arguments"], stdin=request["stdin"])
        answer = {"code": done.code, "output": done.output, "errors": done.errors}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


@contextmanager
def listening(path: Path) -> Iterator[None]:
    """Run commands, a process each, until the block ends."""
    with socketserver.ThreadingUnixStreamServer(str(path), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
