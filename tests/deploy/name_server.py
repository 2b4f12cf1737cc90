"""A name server for tests: the embedded one of an engine, which knows a service's replicas."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_A: Final = 1
_ANSWER_FLAGS: Final = 0x8580
"""A response, authoritative, recursion desired and available (RFC 1035 §4.1.1)."""


@contextmanager
def name_server(addresses: list[str]) -> Iterator[int]:
    """Answer every name with ``addresses``, which may change; yields the port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        thread = threading.Thread(target=_answer_until_empty, args=(listener, addresses))
        thread.start()
        try:
            yield port
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"", ("127.0.0.1", port))
            thread.join()


def _answer_until_empty(listener: socket.socket, addresses: list[str]) -> None:
    while True:
        query, client = listener.recvfrom(4096)
        if not query:
            return
        end_of_name = query.index(b"\0", 12) + 1
        question = query[12 : end_of_name + 4]
        (kind,) = struct.unpack("!H", question[-4:-2])
        known = list(addresses) if kind == _A else []
        header = query[:2] + struct.pack("!5H", _ANSWER_FLAGS, 1, len(known), 0, 0)
        # A pointer to the name in the question, A, IN, one second, four bytes.
        answers = [
            struct.pack("!HHHIH", 0xC00C, _A, 1, 1, 4) + socket.inet_aton(address)
            for address in known
        ]
        listener.sendto(header + question + b"".join(answers), client)
