"""Settings: a wrong one stops the start with one line that says which, what and how."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from authsvc.config import (
    DEFAULT_DATABASE_URL,
    PREFIX,
    ConfigError,
    Settings,
    load_settings,
    settings_table,
    unknown_variables,
)
from authsvc.config.mail import MailSender, SmtpServer
from authsvc.resources import load_master_keys

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
OTHER_KEY = "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1-f4CBgoM"
HIDDEN = "hunter2-and-nobody-may-see-it"
PRODUCTION = {
    "ENV": "production",
    "ISSUER": "https://login.example",
    "DATABASE_URL": "postgresql://authsvc:x@db.example/authsvc",
    "REDIS_URL": "redis://cache.example",
    "MASTER_KEY": KEY,
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Return the line with which these variables are refused."""
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigError) as refused:
        load_settings()
    line = str(refused.value)
    assert line
    assert "\n" not in line
    return line


WRONG: dict[str, tuple[list[str], str]] = {
    "ENV": (["staging", "PRODUCTION"], "'development' or 'production'"),
    "ISSUER": (
        [
            "login.example",
            "ftp://login.example",
            "https://",
            "https://login.example/",
            "https://login.example/tenant/",
            "https://login.example?x=1",
            "https://login.example?",
            "https://login.example#",
            "https://user@login.example",
            "https://login.example:0",
            "https://login.example:99999",
            "https://login.example:x",
            "https://[::1",
            "https://bücher.example",
            "https://login .example",
            "https://login.example\n",
            "https://login\texample",
        ],
        "an http or https URL",
    ),
    "DATABASE_URL": (
        ["authsvc.db", "mysql://a@b/c", "sqlite://x", "postgres://a@b/c"],
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
    ),
    "DATABASE_POOL_SIZE": (["0", "501", "ten", "1.5"], ""),
    "DATABASE_TIMEOUT": (["0", "-1", "5s"], "whole number of seconds"),
    "REDIS_URL": (["localhost:6379", "http://cache.example"], "redis://"),
    "ACCESS_TOKEN_TTL": (["0", "-5", "five", "5m", "1.5", "9" * 30], "whole number of seconds"),
    "REFRESH_WINDOW": (["-1", "ten"], "whole number of seconds"),
    "SIGNING_ALG": (["HS256", "none", "es256", "RS512"], "'ES256'"),
    "RESOURCES": (
        ["orders", "[]", '{"orders": ["orders"]}', '{"https://a.example": "orders"}', "{"],
        "a JSON object like",
    ),
    "REGISTRATION": (["on", "true"], "'off'"),
    "REGISTRATION_STATEMENT_ISSUERS": (
        ["https://a.example", "[]", '{"a": 1}', "{"],
        "a JSON object like",
    ),
    "REGISTRATION_MAX_UNUSED": (["0", "many"], ""),
    "OUTBOUND_LOOPBACK": (["maybe"], "on or off"),
    "IMPLICIT_FLOW": (["maybe"], "on or off"),
    "SMTP_URL": (
        [
            "mail.example",
            "smtp://",
            "http://mail.example",
            "smtp://mail.example/path",
            "smtp://mail.example?starttls=no",
            "smtp://mail.example?starttls=off&x=1",
            "smtps://mail.example?starttls=off",
            "smtp://mail.example#off",
            "smtp://mail.example:0",
            "smtp://mail.example:99999",
            "smtp://ma il.example",
            "smtp://mail.example\r\n",
            "smtp://user:a%0d%0ab@mail.example",
            "smtp://user:%ff@mail.example",
            "smtp://user@mail.example",
            "smtp://:password@mail.example",
            "smtp://user:@mail.example",
            "smtp://user:password@mail.example?starttls=off",
        ],
        "smtp://USER:PASSWORD@HOST:587 (STARTTLS)",
    ),
    "MAIL_FROM": (
        [
            "login",
            "login@",
            "@example.com",
            "a@b, c@d",
            "A <a@b> <c@d>",
            "A <a@b",
            "a@b\r\nBcc: c@d",
            "A\nB <a@b>",
            "lögin@example.com",
            ".a@b",
            "a..b@c",
            "x" * 101 + " <a@b>",
        ],
        "an address like login@example.com",
    ),
    "TRUSTED_PROXIES": (["proxy.example", "10.0.0.1/8", "10.0.0.0/33"], "CIDR"),
    "MAX_BODY_BYTES": (["0", "1e6", "99999999999"], ""),
    "ARGON2_TIME_COST": (["0", "101"], ""),
    "ARGON2_MEMORY_KIB": (["1024", "64M"], ""),
    "ARGON2_PARALLELISM": (["0", "65"], ""),
    "LOGIN_ACCOUNT_ATTEMPTS": (["0"], ""),
    "RATE_LIMITS": (["maybe", "2"], "on or off"),
    "RATE_LIMIT_TOKEN_ADDRESS": (
        ["600", "0/minute", "600/fortnight", "-1/minute", "many/hour", "\u00b2/minute"],
        "like 600/minute",
    ),
    "LOG_LEVEL": (["loud", "INFO"], "'info'"),
    "LOG_FORMAT": (["text"], "'json'"),
}


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        (variable, value, accepted)
        for variable, (values, accepted) in WRONG.items()
        for value in values
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_it_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, accepted: str
) -> None:
    line = _refusal(monkeypatch, **{variable: value})

    assert line.startswith(f"{PREFIX}{variable} holds ")
    if variable not in ("DATABASE_URL", "REDIS_URL", "SMTP_URL"):
        assert repr(value) in line
    assert "it accepts " in line
    assert accepted in line
    assert "base 10" not in line


@pytest.mark.parametrize("variable", [name.upper() for name in Settings.model_fields])
def test_every_variable_is_checked(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    if variable == "MASTER_KEY":
        monkeypatch.setenv(f"{PREFIX}MASTER_KEY", "no key")
        with pytest.raises(ConfigError, match="AUTHSVC_MASTER_KEY holds a value that is not shown"):
            load_master_keys(load_settings())
        return

    nonsense = 'a"b' if variable == "REGISTRATION_SCOPES" else "~ nonsense ~"
    assert _refusal(monkeypatch, **{variable: nonsense}).startswith(f"{PREFIX}{variable} ")


GOOD: dict[str, list[tuple[str, object]]] = {
    "ISSUER": [
        ("https://login.example/tenant", "https://login.example/tenant"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
    "ACCESS_TOKEN_TTL": [("60", timedelta(seconds=60))],
    "REFRESH_WINDOW": [("0", timedelta())],
    "RATE_LIMITS": [("off", False), ("ON", True), ("0", False), ("true", True)],
    "TRUSTED_PROXIES": [
        ("10.0.0.0/8, 192.0.2.1", (ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32"))),
        ("::1", (ip_network("::1/128"),)),
    ],
    "RESOURCES": [('{"https://a.example":["a","b"]}', {"https://a.example": frozenset("ab")})],
    "REDIS_URL": [
        (url, url)
        for url in (
            "redis://a",
            "rediss://a:1/2",
            "redis+sentinel://a,b/s/0",
            "redis+cluster://a,b",
            "rediss+cluster://a",
        )
    ],
}


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [(variable, *pair) for variable, pairs in GOOD.items() for pair in pairs],
)
def test_a_good_value_is_taken(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: object
) -> None:
    monkeypatch.setenv(PREFIX + variable, value)

    taken = getattr(load_settings(), variable.lower())

    assert (taken.get_secret_value() if variable == "REDIS_URL" else taken) == expected


def test_without_any_variable_the_defaults_hold_and_an_empty_one_is_none_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{PREFIX}ISSUER", "")

    settings = load_settings()

    assert settings.issuer == "http://127.0.0.1:8000"
    assert settings.database_url == DEFAULT_DATABASE_URL
    assert settings.redis_url is None
    assert settings.access_token_ttl == timedelta(seconds=300)


@pytest.mark.parametrize("missing", ["ISSUER", "DATABASE_URL", "REDIS_URL", "MASTER_KEY"])
def test_production_refuses_each_default_of_development(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != missing}

    line = _refusal(monkeypatch, **given)

    assert line.startswith(f"{PREFIX}{missing} ")
    assert f"{PREFIX}ENV is production" in line


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ISSUER", "http://login.example"), ("DATABASE_URL", "sqlite:///authsvc.db")],
)
def test_production_refuses_what_is_for_development_when_it_is_set_too(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    line = _refusal(monkeypatch, **{**PRODUCTION, variable: value})

    assert line.startswith(f"{PREFIX}{variable} ")


def test_each_wrong_setting_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def problems(**variables: str) -> list[str]:
        _refusal(monkeypatch, **variables)
        with pytest.raises(ConfigError) as refused:
            load_settings()
        assert str(refused.value) == refused.value.problems[0]
        return [problem.split()[0].removeprefix(PREFIX) for problem in refused.value.problems]

    assert problems(ENV="production", ACCESS_TOKEN_TTL="7", KEY_RETIRED_TTL="6") == [
        "ISSUER", "DATABASE_URL", "REDIS_URL", "MASTER_KEY", "KEY_RETIRED_TTL",
    ]  # fmt: skip
    assert problems(ISSUER="x", LOG_LEVEL="loud") == ["ISSUER", "LOG_LEVEL"]
    missing = str(tmp_path / "missing")
    assert problems(REDIS_URL_FILE=missing, MASTER_KEY_FILE=missing) == [
        "REDIS_URL_FILE", "MASTER_KEY_FILE",
    ]  # fmt: skip


def test_production_starts_with_everything_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(PREFIX + name, value)

    assert load_settings().secure


@pytest.mark.parametrize("longest", ["ACCESS_TOKEN_TTL", "ID_TOKEN_TTL"])
def test_a_retired_key_is_published_for_at_least_as_long_as_tokens_live(
    monkeypatch: pytest.MonkeyPatch, longest: str
) -> None:
    lives = {"ACCESS_TOKEN_TTL": "60", "ID_TOKEN_TTL": "60"} | {longest: "3600"}
    line = _refusal(monkeypatch, **lives, KEY_RETIRED_TTL="3599")

    assert line.startswith(f"{PREFIX}KEY_RETIRED_TTL ")
    assert "3600" in line
    monkeypatch.setenv(f"{PREFIX}KEY_RETIRED_TTL", "3600")
    load_settings()


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_URL": f"mysql://authsvc:{HIDDEN}@db/authsvc"},
        {"REDIS_URL": f"http://:{HIDDEN}@cache"},
        {"MASTER_KEY": HIDDEN},
        {**PRODUCTION, "MASTER_KEY": HIDDEN, "ISSUER": "http://login.example"},
        {**PRODUCTION, "DATABASE_URL": f"sqlite:///{HIDDEN}"},
        {"DATABASE_URL": f"postgresql://a:{HIDDEN}@db/a", "LOG_LEVEL": "loud"},
    ],
)
def test_a_secret_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)

    with pytest.raises(ConfigError) as refused:
        load_master_keys(load_settings())

    error: BaseException | None = refused.value
    while error is not None:
        if error.__suppress_context__ or error is refused.value:
            assert HIDDEN not in str(error)
        error = error.__cause__
    assert "\n" not in str(refused.value)


def test_settings_that_are_printed_show_neither_redis_nor_master_key() -> None:
    settings = Settings(
        redis_url=SecretStr(f"redis://:{HIDDEN}@cache"), master_key=SecretStr(HIDDEN)
    )

    assert HIDDEN not in repr(settings)
    assert HIDDEN not in str(settings.model_dump())


@pytest.mark.parametrize("variable", ["ISSUER", "MASTER_KEY", "DATABASE_URL", "ACCESS_TOKEN_TTL"])
def test_a_value_may_lie_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    values = {**PRODUCTION, "ACCESS_TOKEN_TTL": "77"}
    path = tmp_path / "value"
    path.write_text(f"  {values[variable]}\n")
    monkeypatch.setenv(f"{PREFIX}{variable}_FILE", str(path))

    taken = getattr(load_settings(), variable.lower())

    expected: dict[str, object] = {**values, "ACCESS_TOKEN_TTL": timedelta(seconds=77)}
    shown = taken.get_secret_value() if variable == "MASTER_KEY" else taken
    assert shown == expected[variable]


def test_a_variable_comes_before_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "issuer"
    path.write_text("https://file.example")
    monkeypatch.setenv(f"{PREFIX}ISSUER_FILE", str(path))
    assert load_settings().issuer == "https://file.example"

    monkeypatch.setenv(f"{PREFIX}ISSUER", "https://variable.example")

    assert load_settings().issuer == "https://variable.example"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_can_not_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "missing"
    if content is not None:
        path.write_bytes(content)

    line = _refusal(monkeypatch, MASTER_KEY_FILE=str(path))

    assert line.startswith(f"{PREFIX}MASTER_KEY_FILE holds {str(path)!r}")


def test_a_wrong_value_in_a_file_names_the_variable_of_the_file_and_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "issuer"
    path.write_text("ftp://login.example\n")

    line = _refusal(monkeypatch, ISSUER_FILE=str(path))

    assert line.startswith(f"{PREFIX}ISSUER_FILE ")
    assert "'ftp://login.example'" in line
    assert "an http or https URL" in line


def test_a_wrong_secret_in_a_file_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "redis"
    path.write_text(f"http://:{HIDDEN}@cache\n")

    line = _refusal(monkeypatch, REDIS_URL_FILE=str(path))

    assert line.startswith(f"{PREFIX}REDIS_URL_FILE ")
    assert HIDDEN not in line


@pytest.mark.parametrize("separator", [" ", ",", ", ", "\n"])
def test_there_may_be_several_master_keys_and_the_first_of_them_seals(
    monkeypatch: pytest.MonkeyPatch, separator: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}MASTER_KEY", f"{OTHER_KEY}{separator}{KEY}")
    several = load_master_keys(load_settings())
    monkeypatch.setenv(f"{PREFIX}MASTER_KEY", KEY)
    old = load_master_keys(load_settings())

    assert several.open(old.seal(b"x", purpose="p"), purpose="p") == b"x"
    assert not several.is_newest(old.seal(b"x", purpose="p"))


def test_the_first_start_makes_a_master_key_and_the_second_finds_it(tmp_path: Path) -> None:
    first = load_master_keys(load_settings())

    second = load_master_keys(load_settings())

    assert second.open(first.seal(b"x", purpose="p"), purpose="p") == b"x"
    assert (tmp_path / "keys" / "master.key").stat().st_mode & 0o777 == 0o600


def test_a_variable_that_nobody_reads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ISUER", "MASTER_KEY_FILE", "REDIS_URL", "TEST_REDIS_URL"):
        monkeypatch.setenv(PREFIX + name, "x")

    assert unknown_variables() == [f"{PREFIX}ISUER"]


def _config_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "authsvc.config", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_settings_table_of_a_file_is_written_and_checked(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n<!-- settings: begin -->\nold\n<!-- settings: end -->\nThe rest.\n")

    stale = _config_command("--check", str(readme))
    written = _config_command("--write", str(readme))
    current = _config_command("--check", str(readme))

    assert (stale.returncode, written.returncode, current.returncode) == (1, 0, 0)
    assert stale.stderr.splitlines() == [f"{readme}: the settings table is not current"]
    text = readme.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("\nThe rest.\n")
    assert settings_table() in text


def test_the_table_has_a_row_for_every_setting_and_is_printed(tmp_path: Path) -> None:
    printed = _config_command()

    assert printed.returncode == 0
    assert printed.stdout.rstrip() == settings_table()
    named = re.findall(rf"^\| `{PREFIX}(\w+)` \|", printed.stdout, re.MULTILINE)
    assert named == [name.upper() for name in Settings.model_fields]


@pytest.mark.parametrize("arguments", [["--check"], ["--other", "x"], ["a", "b", "c"]])
def test_another_use_of_the_command_is_explained(arguments: list[str]) -> None:
    answered = _config_command(*arguments)

    assert answered.returncode == 2
    assert answered.stderr.startswith("usage: ")


def test_an_empty_file_is_no_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(PREFIX + name, value)
    monkeypatch.delenv(f"{PREFIX}REDIS_URL")
    (tmp_path / "redis").write_text("\n")
    monkeypatch.setenv(f"{PREFIX}REDIS_URL_FILE", str(tmp_path / "redis"))

    with pytest.raises(ConfigError, match="REDIS_URL"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", SmtpServer("mail.example", 587, "starttls", None, None)),
        ("smtps://mail.example/", SmtpServer("mail.example", 465, "tls", None, None)),
        ("smtp://mail:1025?starttls=off", SmtpServer("mail", 1025, "off", None, None)),
        ("smtp://[::1]:2525", SmtpServer("::1", 2525, "starttls", None, None)),
        (
            "smtp://a%40b:p%3Aw%2F@mail.example:25",
            SmtpServer("mail.example", 25, "starttls", "a@b", "p:w/"),
        ),
    ],
)
@pytest.mark.parametrize(
    ("sender", "read"),
    [
        ("login@example.com", MailSender("", "login@example.com")),
        ("Beispiel AG <login@example.com>", MailSender("Beispiel AG", "login@example.com")),
        ('"A, B" <login@example.com>', MailSender("A, B", "login@example.com")),
    ],
)
def test_mail_is_a_server_and_a_sender(
    monkeypatch: pytest.MonkeyPatch, url: str, server: SmtpServer, sender: str, read: MailSender
) -> None:
    monkeypatch.setenv(f"{PREFIX}SMTP_URL", url)
    monkeypatch.setenv(f"{PREFIX}MAIL_FROM", sender)
    assert load_settings().mail == (server, read)
    assert "p:w/" not in repr(load_settings().mail)


def test_a_mail_server_and_a_sender_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().mail is None
    line = _refusal(monkeypatch, MAIL_FROM="login@example.com")
    assert line == "AUTHSVC_SMTP_URL and AUTHSVC_MAIL_FROM must be set together"
    monkeypatch.delenv(f"{PREFIX}MAIL_FROM")
    assert "must be set together" in _refusal(monkeypatch, SMTP_URL="smtp://mail.example")


def test_the_mail_servers_url_may_lie_in_a_file_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "smtp-url").write_text(f"smtp://user:{HIDDEN}@mail.example\n")
    monkeypatch.setenv(f"{PREFIX}SMTP_URL_FILE", str(tmp_path / "smtp-url"))
    monkeypatch.setenv(f"{PREFIX}MAIL_FROM", "login@example.com")
    settings = load_settings()
    assert settings.mail is not None
    assert settings.mail[0].password == HIDDEN
    assert HIDDEN not in repr(settings)
    (tmp_path / "smtp-url").write_text(f"smtp://user:{HIDDEN}@mail.example/x")
    assert HIDDEN not in _refusal(monkeypatch)
