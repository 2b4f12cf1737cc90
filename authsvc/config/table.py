"""The settings table of the README, made from the settings themselves."""

import sys
from pathlib import Path

from authsvc.config.settings import Settings
from authsvc.config.variables import PREFIX


def settings_table() -> str:
    """Return the table of all settings in Markdown."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, bool):
            shown = "`on`" if default else "`off`"
        elif default is None or default == "":
            shown = "unset"
        else:
            shown = "`{}`" if default == {} else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


_BEGIN, _END = "<!-- settings: begin -->", "<!-- settings: end -->"


def main(arguments: list[str]) -> int:
    match arguments:
        case []:
            print(settings_table())
            return 0
        case [("--check" | "--write") as mode, path]:
            file = Path(path)
            text = file.read_text(encoding="utf-8")
            head, _, rest = text.partition(_BEGIN)
            _, _, tail = rest.partition(_END)
            current = f"{head}{_BEGIN}\n{settings_table()}\n{_END}{tail}"
            if mode == "--write":
                file.write_text(current, encoding="utf-8")
            elif text != current:
                print(f"{path}: the settings table is not current", file=sys.stderr)
                return 1
            return 0
        case _:
            print("usage: python -m authsvc.config [--check FILE | --write FILE]", file=sys.stderr)
            return 2
