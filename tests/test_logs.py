"""A line of the log is one JSON object, and holds nothing secret."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from authsvc import logs
from authsvc.logs import get_logger

SECRET = "nobody-may-ever-see-this"
SECRET_FIELDS = [
    "access_token",
    "assertion",
    "authorization",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "cookie",
    "csrf_token",
    "id_token",
    "id_token_hint",
    "new_password",
    "password",
    "refresh_token",
    "secret",
    "set-cookie",
    "token",
]


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.contextvars.clear_contextvars()
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_says_what_where_and_when(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.contextvars.bind_contextvars(request_id="the-request")

    get_logger("authsvc.somewhere").info("key_rotated", alg="ES256", number=3)

    (line,) = _lines(capsys)
    written_at = datetime.fromisoformat(line.pop("timestamp"))
    assert abs((datetime.now(UTC) - written_at).total_seconds()) < 60
    assert line == {
        "event": "key_rotated",
        "level": "info",
        "module": "authsvc.somewhere",
        "request_id": "the-request",
        "alg": "ES256",
        "number": 3,
    }


@pytest.mark.parametrize("console", [False, True])
@pytest.mark.parametrize("field", SECRET_FIELDS)
def test_a_field_with_the_name_of_a_secret_is_not_shown(
    capsys: pytest.CaptureFixture[str], field: str, console: bool
) -> None:
    logs.configure(console=console)

    get_logger("a").warning("slip", **{field: SECRET})

    written = capsys.readouterr().err
    assert SECRET not in written
    assert "[redacted]" in written


def test_a_secret_that_is_bound_to_the_request_is_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure()
    structlog.contextvars.bind_contextvars(password=SECRET)

    get_logger("a").bind(cookie=SECRET).info("slip")

    assert SECRET not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["two\nlines", 'a "quote"', "a\x00nul", "\x1b[31mred", "é 🐎", "\u2028", '"} {"event":"forged'],
)
def test_whatever_a_text_holds_it_stays_one_line_and_itself(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    logs.configure()

    get_logger("a").info("seen", text=text)

    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert json.loads(written)["text"] == text


@pytest.mark.parametrize("value", ["\ud83d", 2**80, {1: "a number as a name"}])
def test_a_value_that_the_serializer_refuses_does_not_lose_the_line(
    capsys: pytest.CaptureFixture[str], value: object
) -> None:
    logs.configure()

    get_logger("a").info("seen", value=value, password=SECRET)

    (line,) = _lines(capsys)
    assert line["event"] == "seen"
    assert line["password"] == "[redacted]"


def test_a_value_that_json_does_not_know_is_written_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure()

    get_logger("a").info("seen", error=ValueError("x"), many={"a"})

    (line,) = _lines(capsys)
    assert line["error"] == "x"
    assert line["many"] == "{'a'}"


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_written(
    capsys: pytest.CaptureFixture[str], level: str, written: list[str]
) -> None:
    logs.configure(level=level)
    logger = get_logger("a")

    for name in ("debug", "info", "warning", "error"):
        getattr(logger, name)("event")

    assert [line["level"] for line in _lines(capsys)] == written


def test_a_trace_goes_into_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()

    try:
        raise ValueError("the reason")
    except ValueError:
        get_logger("a").exception("request_failed")

    (line,) = _lines(capsys)
    assert line["event"] == "request_failed"
    assert "ValueError: the reason" in line["exception"]


def test_what_a_library_logs_has_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.contextvars.bind_contextvars(request_id="the-request")

    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("something is %s", "wrong")

    (line,) = _lines(capsys)
    assert line["event"] == "something is wrong"
    assert (line["level"], line["request_id"]) == ("warning", "the-request")


@pytest.mark.parametrize("console", [False, True])
def test_a_trace_of_a_library_is_in_its_line_without_the_local_variables(
    capsys: pytest.CaptureFixture[str], console: bool
) -> None:
    logs.configure(console=console)
    value = "".join(reversed(SECRET))

    try:
        raise ValueError(f"the reason, and {len(value)} characters")
    except ValueError:
        logging.getLogger("some.library").exception("it failed")

    written = capsys.readouterr().err
    assert "it failed" in written
    assert "ValueError: the reason" in written
    assert value not in written
    assert console or json.loads(written)["exception"].startswith("Traceback")


def test_on_a_console_a_line_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(console=True)

    get_logger("a").info("key_rotated", alg="ES256")

    written = capsys.readouterr().err
    assert "key_rotated" in written
    assert "alg=ES256" in written
    with pytest.raises(json.JSONDecodeError):
        json.loads(written)


def test_what_fails_again_and_again_is_said_once_a_minute_and_that_it_works_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    logs.configure()
    failures = logs.FailureLog(get_logger(__name__), "job_failed", "job_works", job="purge")

    failures.note_success()
    for _ in range(5):
        failures.note_failure(ValueError(SECRET))
    now[0] += logs.SAID_AGAIN
    failures.note_failure(OSError(SECRET))
    failures.note_success()
    failures.note_success()
    failures.note_failure(OSError())

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [(line["event"], line.get("error"), line.get("times")) for line in lines]
    assert told == [
        ("job_failed", "ValueError", 1),
        ("job_failed", "OSError", 5),
        ("job_works", None, None),
        ("job_failed", "OSError", 1),
    ]
    assert {line["job"] for line in lines} == {"purge"}
    assert SECRET not in str(lines)
