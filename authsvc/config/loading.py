"""Reading the settings, and explaining what is wrong with them."""

import os
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from authsvc.config.settings import Settings
from authsvc.config.variables import PREFIX, ConfigError


def load_settings(**overrides: Any) -> Settings:
    """Return the settings from the environment; ``overrides`` come first.

    Raises ConfigError with one line for the first wrong variable; its ``problems`` have a
    line for each. Files that can not be read come alone, and so do settings that do not fit
    together: the others must be known for that.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError(*_explain(error)) from None


def unknown_variables() -> list[str]:
    """Return variables that look like settings of ours but are not: likely misspelt."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known = names | {f"{name}_FILE" for name in names}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name not in known and not name.startswith(f"{PREFIX}TEST_")
    )


def _explain(error: ValidationError) -> list[str]:
    return [line for found in error.errors(include_context=True) for line in _lines(found)]


def _lines(found: ErrorDetails) -> list[str]:
    """Return what is wrong: one line about a setting, several about all of them together."""
    reason = found["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not found["loc"]:
        return reason.splitlines()
    name = str(found["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    secret = "Secret" in str(Settings.model_fields[name].annotation) or name == "database_url"
    shown = "a value that is not shown" if secret else repr(found["input"])
    in_file = not os.environ.get(variable) and os.environ.get(f"{variable}_FILE")
    held = f"{variable}_FILE names a file that holds" if in_file else f"{variable} holds"
    return [f"{held} {shown}; it accepts {reason[:1].lower()}{reason[1:]}"]
