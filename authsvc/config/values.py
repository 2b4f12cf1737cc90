"""The types of settings: how a text becomes a value, and what it must be otherwise.

Each raises ValueError with the words that follow "it accepts".
"""

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _seconds(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        seconds = int(str(value))
    except ValueError as error:
        raise ValueError("a whole number of seconds") from error
    if not 0 <= seconds <= 3_153_600_000:
        raise ValueError("a whole number of seconds from 0 to 100 years")
    return timedelta(seconds=seconds)


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("a whole number of seconds above 0")
    return value


def _networks(value: object) -> tuple[Network, ...]:
    if isinstance(value, tuple):
        return value
    try:
        return tuple(ipaddress.ip_network(part) for part in str(value).replace(",", " ").split())
    except ValueError as error:
        raise ValueError("addresses or networks in CIDR form, separated by commas") from error


def _switch(value: object) -> bool:
    words = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
    if isinstance(value, bool):
        return value
    try:
        return words[str(value).lower()]
    except KeyError as error:
        raise ValueError("on or off") from error


def _rate(value: str) -> str:
    for rate in value.split(";"):
        amount, _, period = rate.partition("/")
        if not (amount.isascii() and amount.isdigit() and int(amount) and period in _PERIODS):
            raise ValueError("rates like 600/minute or 10/second;600/minute")
    return value


def _namespaces(value: object) -> dict[str, frozenset[str]]:
    wanted = 'a JSON object like {"https://orders.example": ["orders"]}'
    if isinstance(value, str):
        try:
            value = orjson.loads(value or "{}")
        except orjson.JSONDecodeError as error:
            raise ValueError(wanted) from error
    if not isinstance(value, Mapping):
        raise ValueError(wanted)
    resources = {}
    for uri, names in value.items():
        parts = urlsplit(str(uri))
        if not parts.scheme or parts.fragment or isinstance(names, str):
            raise ValueError(wanted)
        resources[str(uri)] = frozenset(str(name) for name in names)
    return resources


def _urls_by_issuer(value: object) -> dict[str, str]:
    wanted = 'a JSON object like {"https://software.example": "https://software.example/jwks"}'
    if isinstance(value, str):
        try:
            value = orjson.loads(value or "{}")
        except orjson.JSONDecodeError as error:
            raise ValueError(wanted) from error
    if not isinstance(value, Mapping):
        raise ValueError(wanted)
    texts = [text for pair in value.items() for text in pair]
    if not all(isinstance(text, str) and urlsplit(text).scheme for text in texts):
        raise ValueError(wanted)
    return dict(value)


def _names(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, tuple) else str(value).replace(",", " ").split()
    if not all(_SCOPE_TOKEN.fullmatch(name) for name in names):
        raise ValueError("scopes (RFC 6749 section 3.3) with spaces or commas between them")
    return tuple(dict.fromkeys(names))


def _existing_file(value: object) -> Path:
    path = Path(str(value))
    if not path.is_file():
        raise ValueError("the path of a file")
    return path


# RFC 6749 §3.3.
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_PERIODS = ("second", "minute", "hour", "day")
Seconds = Annotated[timedelta, BeforeValidator(_seconds)]
PositiveSeconds = Annotated[timedelta, BeforeValidator(_seconds), AfterValidator(_positive)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Rate = Annotated[str, AfterValidator(_rate)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
UrlsByIssuer = Annotated[dict[str, str], NoDecode, BeforeValidator(_urls_by_issuer)]
ExistingFile = Annotated[Path, BeforeValidator(_existing_file)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Namespaces = Annotated[dict[str, frozenset[str]], NoDecode, BeforeValidator(_namespaces)]


def setting(default: Any, meaning: str, **bounds: Any) -> Any:
    return Field(default=default, validate_default=True, description=meaning, **bounds)
