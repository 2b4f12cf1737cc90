"""What a command says: a table for a person, or one JSON document for a program."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_COPIED = ("kid", "id", "client_id")
"""Columns whose values people copy: never folded."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def print_json(document: object) -> None:
    """Print ``document`` as JSON; instants are ISO 8601."""
    encoded = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    # JSON is UTF-8 (RFC 8259 §8.1), whatever the terminal's encoding.
    sys.stdout.flush()
    sys.stdout.buffer.write(encoded)


def print_lines(*lines: str) -> None:
    """Print text for a person, a line each."""
    for line in lines:
        print(line)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table; ``empty`` says in words that there is nothing.

    On a terminal values are folded to its width. Elsewhere they stay whole, a row a
    line, without colour.
    """
    texts = [[readable(value) for value in row] for row in rows]
    if not texts:
        print(empty)
    elif sys.stdout.isatty():
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column in _COPIED)
        for row in texts:
            table.add_row(*(Text(text) for text in row))
        Console().print(table)
    else:
        _print_aligned([[column.upper() for column in columns], *texts])


def print_thing(members: Mapping[str, Any]) -> None:
    """Print one thing, a member a line."""
    width = max(len(name) for name in members)
    for name, value in members.items():
        print(f"{name:<{width}}  {readable(value)}")


def print_document(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing for a program or for a person."""
    if as_json:
        print_json(document)
    else:
        print_thing(document)


def readable(value: object) -> str:
    """Return ``value`` as a person reads it; nothing in it can command a terminal."""
    match value:
        case None | "":
            return "-"
        case list() | tuple() | Mapping() if not value:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return _printable(", ".join(value))
        case list() | tuple() | Mapping():
            return _printable(orjson.dumps(value).decode())
        case _:
            return _printable(str(value))


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() else f"\\u{ord(character):04x}" for character in text
    )


def _print_aligned(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
