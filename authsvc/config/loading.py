"""Reading the settings, and explaining what is wrong with them."""

import os
from typing import Any

from pydantic import ValidationError

from authsvc.config.settings import Settings
from authsvc.config.variables import PREFIX, ConfigError


def load_settings(**overrides: Any) -> Settings:
    """Return the settings from the environment; ``overrides`` come first.

    Raises ConfigError with one line for the first wrong variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def unknown_variables() -> list[str]:
    """Return variables that look like settings of ours but are not: likely misspelt."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known = names | {f"{name}_FILE" for name in names}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name not in known and not name.startswith(f"{PREFIX}TEST_")
    )


def _explain(error: ValidationError) -> str:
    first = error.errors(include_context=True)[0]
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not first["loc"]:
        return reason
    name = str(first["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    secret = "Secret" in str(Settings.model_fields[name].annotation) or name == "database_url"
    shown = "a value that is not shown" if secret else repr(first["input"])
    in_file = not os.environ.get(variable) and os.environ.get(f"{variable}_FILE")
    held = f"{variable}_FILE names a file that holds" if in_file else f"{variable} holds"
    return f"{held} {shown}; it accepts {reason[:1].lower()}{reason[1:]}"
