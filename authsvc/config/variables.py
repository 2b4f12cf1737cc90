"""Where the values come from: variables of the environment, and files that they name."""

import os
from pathlib import Path
from typing import Any

from pydantic_settings.sources import PydanticBaseSettingsSource

PREFIX = "AUTHSVC_"


class ConfigError(Exception):
    """A setting is wrong; the message is one line for the operator, about the first."""

    def __init__(self, *problems: str) -> None:
        """Take a line for each setting that is wrong, one at least."""
        super().__init__(problems[0])
        self.problems = problems


class FileVariables(PydanticBaseSettingsSource):
    """Reads ``AUTHSVC_<NAME>_FILE``: the value is the content of the file it names."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise ConfigError(
                f"{PREFIX}{field_name.upper()}_FILE holds {path!r}, which can not be read: {reason}"
            ) from error

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, field in self.settings_cls.model_fields.items():
            try:
                values[name] = self.get_field_value(field, name)[0]
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(*problems)
        # An empty file is no value, as an empty variable is none.
        return {name: value for name, value in values.items() if value}
