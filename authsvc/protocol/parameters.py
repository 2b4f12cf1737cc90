"""Request parameters: a strict reader of ``application/x-www-form-urlencoded`` text.

RFC 6749 §3.1, §3.2 and appendix B. It runs on every token request, so the whole text
is checked by one regular expression and only values that need decoding are decoded.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes, urlencode

from authsvc.protocol.errors import InvalidRequest

# Any byte but a control character, raw or escaped, and only whole percent escapes.
_WELL_FORMED: Final = re.compile(
    rb"(?:[^\x00-\x1f\x7f%]++|%(?:[2-689A-Fa-f][0-9A-Fa-f]|7[0-9A-Ea-e]))*+"
)
# Parameters of the RFCs look like this; codes, tokens and secrets do not.
_PARAMETER_NAME: Final = re.compile(r"[a-z]+(?:_[a-z]+)*")
_LONGEST_LOGGED_NAME: Final = 40

# RFC 8707 §2 and RFC 8693 §2.1 let these two be repeated.
REPEATABLE: Final = frozenset({"resource", "audience"})


class Parameters:
    """The parameters of one request, in the order they came; never changed.

    A parameter without a value counts as absent (RFC 6749 §3.1) for every look-up,
    and still counts as sent for ``check_no_duplicates``. Values may be secrets, so
    the representation shows none of them.
    """

    __slots__ = ("_first", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = tuple(pairs)
        self._first = dict(self._pairs)
        if len(self._first) != len(self._pairs):
            self._first = dict(reversed([pair for pair in self._pairs if pair[1]]))

    def get(self, name: str) -> str | None:
        """Return the first value of ``name``, or None when it is absent or empty."""
        return self._first.get(name) or None

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of ``name`` that is not empty, in order (RFC 8707 §2)."""
        return tuple(value for key, value in self._pairs if key == name and value)

    def require(self, name: str) -> str:
        """Return the value of ``name``, which must be one of the RFCs' names.

        Raises InvalidRequest, naming it, when it is absent or empty (RFC 6749 §5.2).
        """
        value = self._first.get(name)
        if not value:
            raise InvalidRequest(f"Missing parameter: {name}")
        return value

    def check_no_duplicates(self) -> None:
        """Raise InvalidRequest when a parameter was sent twice (RFC 6749 §3.1, §3.2)."""
        if len(self._first) == len(self._pairs):
            return
        seen: set[str] = set()
        for name, _ in self._pairs:
            if name in seen and name not in REPEATABLE:
                raise InvalidRequest(
                    "A parameter is sent more than once", detail=_name_for_the_log(name)
                )
            seen.add(name)

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return what was sent, empty values included."""
        return self._pairs

    def encode(self) -> str:
        """Return the same parameters as ``application/x-www-form-urlencoded`` text."""
        return urlencode(self._pairs)

    def without(self, *names: str) -> "Parameters":
        """Return the parameters that are not called any of ``names``."""
        return Parameters(pair for pair in self._pairs if pair[0] not in names)

    def replaced(self, name: str, value: str) -> "Parameters":
        """Return the parameters with ``value`` as the only one of ``name``."""
        return Parameters([*self.without(name).pairs(), (name, value)])

    def __contains__(self, name: object) -> bool:
        return bool(self._first.get(name)) if isinstance(name, str) else False

    def __eq__(self, other: object) -> bool:
        return self._pairs == other._pairs if isinstance(other, Parameters) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"<Parameters: {len(self._pairs)}>"


def parse_parameters(raw: bytes, *, max_count: int = 100, max_value: int = 65536) -> Parameters:
    """Read ``raw``, a query string or a form body (RFC 6749 appendix B).

    ``max_count`` bounds how many parameters may be sent, ``max_value`` how many
    characters a name or a value may have. Raises InvalidRequest for a broken percent
    escape, broken UTF-8, a control character, and for what is over a bound.
    """
    if raw.count(b"&") >= max_count:
        raise InvalidRequest("Too many parameters")
    if not _WELL_FORMED.fullmatch(raw):
        raise InvalidRequest("The parameters are not well-formed")
    pairs = []
    try:
        for part in raw.decode().replace("+", " ").split("&"):
            if not part:
                continue
            name, _, value = part.partition("=")
            if "%" in part:
                name = unquote_to_bytes(name).decode()
                value = unquote_to_bytes(value).decode()
            pairs.append((name, value))
    except UnicodeDecodeError:
        raise InvalidRequest("The parameters are not UTF-8") from None
    if len(raw) > max_value:
        _check_lengths(pairs, max_value)
    return Parameters(pairs)


def _check_lengths(pairs: Iterable[tuple[str, str]], max_value: int) -> None:
    if any(len(name) > max_value or len(value) > max_value for name, value in pairs):
        raise InvalidRequest("A parameter is too long")


def _name_for_the_log(name: str) -> str | None:
    if len(name) <= _LONGEST_LOGGED_NAME and _PARAMETER_NAME.fullmatch(name):
        return name
    return None
