"""The Dockerfile as data: its stages, each a list of instructions."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
DOCKERFILE: Final = REPOSITORY / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``text`` is what follows the keyword, on one line."""

    keyword: str
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, in either form: a JSON array or words of a shell."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


@dataclass
class Stage:
    """What follows one FROM; ``image`` is its image, with arguments filled in."""

    name: str
    image: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, keyword: str) -> Instruction:
        """Return the instruction that counts where one wins over those before it."""
        return [each for each in self.instructions if each.keyword == keyword][-1]

    def variables(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of ENV on top of ``given``."""
        known = dict(given)
        for each in self.instructions:
            if each.keyword == "ENV":
                known |= dict(fill(word, known).split("=", 1) for word in each.words)
        return known


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with ``$NAME`` and ``${NAME}`` filled in; KeyError for an unknown one."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: values[match[1] or match[2]], text)


def parse_dockerfile(text: str) -> list[Stage]:
    """Return the stages in their order; ValueError for an instruction that none of ours knows."""
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in without_comments.replace("\\\n", " ").splitlines():
        keyword, _, rest = line.strip().partition(" ")
        match keyword:
            case "":
                pass
            case "ARG":
                name, _, default = rest.partition("=")
                arguments[name] = default
            case "FROM":
                image, _, name = fill(rest, arguments).partition(" AS ")
                stages.append(Stage(name, image))
            case (
                "CMD" | "COPY" | "ENTRYPOINT" | "ENV" | "EXPOSE" | "HEALTHCHECK" | "RUN"
                | "USER" | "WORKDIR"
            ):  # fmt: skip
                stages[-1].instructions.append(Instruction(keyword, rest))
            case _:
                raise ValueError(f"the tests do not know {keyword}")
    return stages
