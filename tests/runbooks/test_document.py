"""No command of the document goes untried."""

import re
from pathlib import Path

from authsvc.storage.revisions import known_revisions
from tests.runbooks.runbook import DOCUMENT, read_runbooks


def test_every_section_with_commands_is_followed_by_a_test() -> None:
    folder = Path(__file__).parent
    tests = "".join(path.read_text() for path in sorted(folder.glob("test_*.py")))
    followed = set(re.findall(r'follow\(\s*"([^"]+)"', tests))

    assert len(followed) > 10
    assert read_runbooks().keys() == followed


def test_every_block_of_commands_is_found() -> None:
    marked = re.findall(r"^ *```sh$", DOCUMENT.read_text(), re.MULTILINE)

    assert len(marked) == sum(map(len, read_runbooks().values()))


def test_the_document_tells_what_each_way_down_loses() -> None:
    section = DOCUMENT.read_text().partition("### Back to the release before")[2]
    table = re.findall(r"^\| ([0-9]{4}) \|", section.partition("\n## ")[0], re.MULTILINE)

    assert table == known_revisions()[1:]
