"""The script of the session's frame, run by Node with the little of a browser that it uses."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import authsvc.web

pytestmark = pytest.mark.interop

SCRIPT = Path(authsvc.web.__file__).parent / "static" / "check_session.js"
APP, EVIL = "https://app.example", "https://evil.example"
STATE, SALT, CLIENT = "the-state", "the-salt", "a client"

_BROWSER = """
const fs = require("fs"), vm = require("vm");
const { script, ancestors, referrer, state, messages } = JSON.parse(fs.readFileSync(0, "utf8"));
const listeners = [], answers = [];
const window = { addEventListener: (_, listener) => listeners.push(listener) };
const location = { protocol: "https:" };
if (ancestors !== null) { location.ancestorOrigins = ancestors; }
const cookie = state === null ? "x=y" : `x=y; __Host-authsvc_browser_state=${state}`;
const document = { referrer, cookie };
const globals = { window, location, document, crypto: globalThis.crypto, TextEncoder, URL };
vm.runInNewContext(fs.readFileSync(script, "utf8"), { ...globals, Uint8Array, Array });
(async () => {
  for (const { data, origin } of messages) {
    const told = [];
    const source = { postMessage: (answer, to) => told.push([answer, to]) };
    for (const listener of listeners) { await listener({ data, origin, source }); }
    answers.push(told);
  }
  console.log(JSON.stringify(answers));
})();
"""


def _session_state(origin: str) -> str:
    message = f"{CLIENT} {origin} {STATE} {SALT}"
    return f"{CLIENT} {hashlib.sha256(message.encode()).hexdigest()}.{SALT}"


async def _ask(
    *origins: str,
    data: Any = None,
    ancestors: list[str] | None = None,
    referrer: str = "",
    state: str | None = STATE,
) -> list[list[list[str]]]:
    """Return what each asker is answered, and to which origin, one after the other."""
    messages = [{"data": data or _session_state(origin), "origin": origin} for origin in origins]
    given = {"script": str(SCRIPT), "ancestors": ancestors, "referrer": referrer}
    process = await asyncio.create_subprocess_exec(
        "node",
        "-e",
        _BROWSER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    sent = json.dumps({**given, "state": state, "messages": messages}).encode()
    told, _ = await process.communicate(sent)
    assert process.returncode == 0
    answers: list[list[list[str]]] = json.loads(told)
    return answers


@pytest.mark.parametrize(
    ("ancestors", "referrer"),
    [
        ([APP], ""),
        ([APP, EVIL], f"{EVIL}/page"),
        (None, f"{APP}/page?x=1"),
        ([], f"{APP}/"),
    ],
)
async def test_only_the_page_that_frames_it_is_answered(
    ancestors: list[str] | None, referrer: str
) -> None:
    answers = await _ask(APP, EVIL, ancestors=ancestors, referrer=referrer)

    assert answers == [[["unchanged", APP]], []]


async def test_where_nobody_says_who_frames_it_whoever_asks_is_answered() -> None:
    assert await _ask(APP, EVIL) == [[["unchanged", APP]], [["unchanged", EVIL]]]


async def test_who_has_no_origin_is_not_answered() -> None:
    assert await _ask("null", "file://") == [[], []]


async def test_another_state_is_a_change_and_what_is_no_state_an_error() -> None:
    assert await _ask(APP, ancestors=[APP], state=None) == [[["changed", APP]]]
    assert await _ask(APP, ancestors=[APP], state="another") == [[["changed", APP]]]
    for data in ("no-salt", "a client no-salt", "a b.c.d", {"an": "object"}):
        assert await _ask(APP, data=data, ancestors=[APP]) == [[["error", APP]]]
