"""JSON bodies, read strictly (RFC 8259): what two readers could understand differently,
and what no database keeps, is refused before anybody looks at it.
"""

import json
import re
from collections.abc import Iterator
from math import isfinite
from typing import Annotated, Any, Final, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from authsvc.protocol.errors import InvalidRequest, UnsupportedMediaType

_MAX_DEPTH: Final = 16
# Whole numbers beyond this are not the same in every reader of JSON (RFC 8259 §6).
_MAX_INTEGER: Final = 2**53 - 1
# An address has line breaks, and text a tab; other control characters no one means.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LINE_BREAKS = re.compile("[\t\r\n\x80-\x9f\u2028\u2029]")
_NAMEABLE = re.compile(r"[A-Za-z0-9_.#:/-]{1,100}")
_REASONS: Final = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "dict_type": "must be an object",
    "list_type": "must be an array",
}

M = TypeVar("M", bound="Body")


class Body(BaseModel):
    """The members a request may have: no others, and of no other types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class NoMembers(Body):
    """The body of an action that needs none: nothing, or an empty object."""


def _one_line(text: str) -> str:
    if _LINE_BREAKS.search(text):
        raise ValueError("not one line")
    return text


Line = Annotated[str, AfterValidator(_one_line)]


async def read_body(request: Request, model: type[M]) -> tuple[M, bytes]:
    """Return the body as ``model``, and its bytes; raises InvalidRequest and others.

    An empty body, of whatever type, is an empty object where the model needs no member.
    """
    raw = await request.body()
    if raw:
        _check_content_type(request)
    members = parse_object(raw) if raw else {}
    try:
        return model.model_validate(members), raw
    except ValidationError as error:
        raise InvalidRequest(_explain(error)) from None


async def read_object(request: Request) -> dict[str, Any]:
    """Return the body, a JSON object; raises InvalidRequest or UnsupportedMediaType.

    Its texts and numbers are as they came: what is used of them ``check_plain`` is for.
    """
    _check_content_type(request)
    return _load_object(await request.body())


def parse_object(raw: bytes) -> dict[str, Any]:
    """Read ``raw``, a JSON object; raises InvalidRequest for anything that is not plain."""
    value = _load_object(raw)
    check_plain(value)
    return value


def check_plain(value: object) -> None:
    """Raise InvalidRequest for text or numbers that some reader can not take."""
    for item, _ in _walk(value):
        if isinstance(item, str):
            if _NOT_TEXT.search(item):
                raise InvalidRequest("The body holds characters that are not text")
        elif isinstance(item, int | float) and not _is_plain_number(item):
            raise InvalidRequest("The body holds a number that is too large")


def _load_object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object")
    if any(depth > _MAX_DEPTH for _, depth in _walk(value)):
        raise InvalidRequest("The body is nested too deeply")
    return value


def _walk(value: object) -> Iterator[tuple[object, int]]:
    """Yield all that is in ``value``, names too, each with how deep it lies."""
    pending = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        yield item, depth
        if isinstance(item, dict):
            pending += [(child, depth + 1) for child in (*item, *item.values())]
        elif isinstance(item, list):
            pending += [(child, depth + 1) for child in item]


def _check_content_type(request: Request) -> None:
    values = request.headers.getlist("content-type")
    media_type, _, options = (values[0] if len(values) == 1 else "").partition(";")
    charset = options.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() != "application/json" or charset not in ("", "utf-8"):
        raise UnsupportedMediaType("The body must be application/json")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidRequest("A member is there more than once")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise InvalidRequest("The body is not JSON")


def _is_plain_number(number: float) -> bool:
    return abs(number) <= _MAX_INTEGER if isinstance(number, int) else isfinite(number)


def _explain(error: ValidationError) -> str:
    """Return what is wrong with which member, in words of ours."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    member = path if _NAMEABLE.fullmatch(path) else "A member"
    return f"{member} {_REASONS.get(first['type'], 'is not acceptable')}"
