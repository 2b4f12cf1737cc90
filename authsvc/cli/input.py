"""What a command is given beside its arguments: secrets and files."""

import getpass
import sys
from pathlib import Path
from typing import Any, Final

import orjson
import typer

from authsvc.cli.refusal import Refused

STDIN = "-"
RANDOM_ARGUMENT: Final = {"ignore_unknown_options": True}
"""For commands whose argument is random base64url: it may begin with a dash."""
_MAX_SECRET = 65_536


def read_bytes(source: str) -> bytes:
    """Return what the file ``source`` holds, or standard input for ``-``; raises Refused."""
    if source == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise Refused(f"{source} can not be read: {error.strerror}") from error


def read_text(source: str) -> str:
    """Return UTF-8 text from the file ``source``, or standard input; raises Refused."""
    return _decode(read_bytes(source), _name(source))


def read_json_object(source: str) -> dict[str, Any]:
    """Return the JSON object of the file ``source``, or standard input; raises Refused."""
    try:
        value = orjson.loads(read_bytes(source))
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refused(
            f"{_name(source)} is not JSON: {error.msg.partition(':')[0]}, {where}"
        ) from error
    if not isinstance(value, dict):
        raise Refused(f"{_name(source)} is not a JSON object")
    return value


def read_token(source: str) -> str:
    """Return a token from the file ``source``, or standard input; raises Refused."""
    text = read_text(source).strip()
    if not text:
        raise Refused(f"{_name(source)} holds no token")
    return text


def read_secret(what: str) -> str:
    """Return a secret from standard input, without the newline at its end; raises Refused.

    On a terminal it is asked for, and not shown.
    """
    if sys.stdin.isatty():
        return getpass.getpass(f"{what}: ")
    data = sys.stdin.buffer.read(_MAX_SECRET + 1)
    if len(data) > _MAX_SECRET:
        raise Refused(f"the {what.lower()} on standard input is too long")
    text = _decode(data, "standard input")
    secret = text.removesuffix("\r\n" if text.endswith("\r\n") else "\n")
    if not secret:
        raise Refused(f"there is no {what.lower()} on standard input")
    return secret


def prompt_new_password() -> str:
    """Return a password that was typed twice and not shown; raises BadParameter, Refused."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on: give it with --password-stdin")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != password:
        raise Refused("the two passwords differ")
    return password


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not UTF-8 text") from error


def _name(source: str) -> str:
    return "standard input" if source == STDIN else source
