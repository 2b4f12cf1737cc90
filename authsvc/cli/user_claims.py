"""Claims about a person, as arguments ``NAME=JSON``."""

from collections.abc import Sequence
from typing import Any

import orjson
import typer

from authsvc.cli.output import readable
from authsvc.cli.refusal import Refused, explain
from authsvc.protocol.claims import check_claim
from authsvc.protocol.errors import InvalidRequest


def parse_claims(arguments: Sequence[str]) -> dict[str, Any]:
    """Read ``name=JSON`` arguments.

    Raises BadParameter for what is not one, and Refused for a claim that is against the rules:
    each says which of the arguments it is.
    """
    claims = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        try:
            claims[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            equals = ""
        if not (name and equals):
            raise typer.BadParameter(
                f"--claim {readable(argument)}: a claim is NAME=JSON, and text in JSON has "
                """quotes: --claim 'given_name="Ada"'"""
            )
        try:
            check_claim(name, claims[name])
        except InvalidRequest as error:
            raise Refused(f"--claim {readable(name)}: {explain(error)}") from error
    return claims
