"""The doctor's checks of the configuration and the master key, which need no server."""

import ipaddress
import os
import ssl
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from authsvc.config import MASTER_KEY_PATH, Settings, unknown_variables
from authsvc.master_key import MasterKeys, parse_master_keys
from authsvc.tracing import is_installed

Status = Literal["ok", "warning", "error"]
REWRAP = (
    "Run `authsvc keys rewrap`, then `authsvc doctor` again, before you remove the old master key."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do about it."""

    check: str
    status: Status
    finding: str
    advice: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def check_variables() -> list[Finding]:
    """Return a warning for each variable that looks like a setting and is none."""
    return [
        Finding(
            "configuration",
            "warning",
            f"{name} is not a setting of authsvc",
            "Correct its name, or remove it: it has no effect.",
        )
        for name in unknown_variables()
    ]


def check_configuration(settings: Settings) -> list[Finding]:
    """Return what the settings and the environment show."""
    found = check_variables()
    if settings.env == "development" and not is_local(settings.issuer):
        found.append(
            Finding(
                "configuration",
                "warning",
                f"the issuer {settings.issuer} is not local, and AUTHSVC_ENV is development",
                "Set AUTHSVC_ENV=production: it refuses to start on a development default.",
            )
        )
    if not settings.rate_limits:
        found.append(
            Finding(
                "configuration",
                "warning",
                "rate limits are off",
                "Set AUTHSVC_RATE_LIMITS=on, unless this is a benchmark.",
            )
        )
    summary = f"{settings.env}, issuer {settings.issuer}"
    return found or [Finding("configuration", "ok", summary)]


def check_certificates(settings: Settings) -> list[Finding]:
    """Return whether outbound requests have authorities to believe (RFC 9325 §3.1.1)."""
    if settings.outbound_ca_file is None and not _has_system_authorities():
        return [
            Finding(
                "certificates",
                "warning",
                "this system has no CA certificates: no client's host can be asked over https",
                "Install them (on Debian: ca-certificates), or set AUTHSVC_OUTBOUND_CA_FILE.",
            )
        ]
    return [Finding("certificates", "ok", "there are authorities for outbound requests")]


def _has_system_authorities() -> bool:
    """Tell whether OpenSSL finds any: in one file, or in a folder that it reads on demand."""
    paths = ssl.get_default_verify_paths()
    in_folder = bool(paths.capath) and any(Path(paths.capath).iterdir())
    return in_folder or bool(ssl.create_default_context().get_ca_certs())


def check_traces(settings: Settings) -> list[Finding]:
    """Return whether traces that are wanted can be sent; nothing where they are off."""
    if settings.traces == "off" or is_installed():
        return []
    advice = "pip install 'authsvc[otel]', or set AUTHSVC_TRACES=off."
    return [Finding("traces", "error", "AUTHSVC_TRACES needs OpenTelemetry", advice)]


def is_local(issuer: str) -> bool:
    """Tell whether the issuer is reached from this machine alone."""
    host = urlsplit(issuer).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_master_key(settings: Settings) -> tuple[Finding, MasterKeys | None, MasterKeys | None]:
    """Return what there is to say, every master key, and the newest alone.

    The keys are None where there is none to use. Looking does not make the key file.
    """
    if settings.master_key is not None:
        text, source = settings.master_key.get_secret_value(), "AUTHSVC_MASTER_KEY"
    elif not MASTER_KEY_PATH.exists():
        made = f"there is no {MASTER_KEY_PATH} yet"
        return Finding("master key", "ok", f"{made}; it is made at the first start"), None, None
    else:
        source = str(MASTER_KEY_PATH)
        try:
            text = MASTER_KEY_PATH.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            advice = f"Let the account that runs authsvc read {source}."
            return Finding("master key", "error", f"{source}: {reason}", advice), None, None
    try:
        every = parse_master_keys(text)
        newest = parse_master_keys(text.replace(",", " ").split()[0])
    except ValueError as error:
        advice = "Restore the key that the database was made with; another opens nothing."
        return Finding("master key", "error", f"{source}: {error}", advice), None, None
    return _check_file(settings, source), every, newest


def _check_file(settings: Settings, source: str) -> Finding:
    if settings.master_key is None:
        status = MASTER_KEY_PATH.stat()
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = oct(stat.S_IMODE(status.st_mode)).removeprefix("0o")
            return Finding(
                "master key",
                "error",
                f"other accounts may reach {source}: its mode is {mode}",
                f"chmod 600 {source}",
            )
        if status.st_uid != os.geteuid():
            return Finding(
                "master key",
                "warning",
                f"{source} belongs to another account",
                f"Run authsvc as the account that owns {source}, or give it the file.",
            )
    return Finding("master key", "ok", f"from {source}")
