"""Addresses that a command listens on."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from authsvc.cli.refusal import Refused


def check_address(host: str, port: int, *, advice: str) -> None:
    """Raise Refused when nobody could listen there; ``advice`` is for a port that is taken."""
    with _explained(host, port, advice):
        _bind(host, port).close()


def listen(host: str, port: int, *, advice: str) -> socket.socket:
    """Return a socket that listens there; raises Refused as ``check_address`` does."""
    with _explained(host, port, advice):
        listener = _bind(host, port)
        try:
            # Another may be bound to it as well until one of them listens.
            listener.listen()
        except OSError:
            listener.close()
            raise
        return listener


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


@contextmanager
def _explained(host: str, port: int, advice: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        more = advice if error.errno == errno.EADDRINUSE else ""
        raise Refused(f"can not listen on {host} port {port}: {error.strerror}{more}") from error
