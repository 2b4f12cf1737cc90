"""Apache, in a folder of its own: reverse proxy before authsvc, and relying party."""

import secrets
import shutil
import signal
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from cryptography.hazmat.primitives import serialization

from tests.client_keys import private_key
from tests.served import Served
from tests.server_process import PATIENCE, Account, ServerProcess, give_away, make_folder
from tests.web_certificates import CertificateAuthority

_PROGRAM: Final = "/usr/sbin/apache2"
_MODULES: Final = "/usr/lib/apache2/modules"


@dataclass(frozen=True)
class RelyingParty:
    """A virtual host with mod_auth_openidc; ``name`` is what its variables begin with."""

    name: str
    port: int
    client_id: str
    client_secret: str | None

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def redirect_uri(self) -> str:
        """Where the module itself answers."""
        return f"{self.url}/private/oidc"

    def variables(self) -> dict[str, str]:
        """Return what its part of the configuration needs."""
        given = {"PORT": str(self.port), "CLIENT_ID": self.client_id}
        if self.client_secret is not None:
            given["CLIENT_SECRET"] = self.client_secret
        return {f"{self.name}_{name}": value for name, value in given.items()}


@contextmanager
def run_apache(
    authority: CertificateAuthority, port: int, served: Served, parties: Sequence[RelyingParty]
) -> Iterator[ServerProcess]:
    """Run it until the block ends, the provider at ``port``; never as root."""
    account = Account.unprivileged()
    folder = make_folder(account)
    shutil.copytree(Path(__file__).parent / "apache", folder, dirs_exist_ok=True)
    shutil.copy(authority.ca_file, folder / "ca.pem")
    (folder / "server.pem").write_bytes(authority.server_pem(["localhost", "127.0.0.1"]))
    _write_client_key(folder)
    values = {
        "FOLDER": str(folder),
        "MODULES": _MODULES,
        "ISSUER": served.issuer,
        "PROVIDER_PORT": str(port),
        "AUTHSVC_PORT": str(served.port),
        "PASSPHRASE": secrets.token_urlsafe(32),
    }
    for party in parties:
        values |= party.variables()
    defined = [f"Define {name} {value}" for name, value in values.items()]
    (folder / "run.conf").write_text("\n".join([*defined, f"Include {folder}/httpd.conf", ""]))
    give_away(folder, account)
    command = [_PROGRAM, "-D", "FOREGROUND", "-f", str(folder / "run.conf")]
    process = ServerProcess(
        folder, command, stop_signal=signal.SIGTERM, end_signal=signal.SIGTERM, account=account
    )
    try:
        process.start()
        _wait_until_it_answers(served.issuer, authority.ca_file, process)
        yield process
    finally:
        process.close()


def _write_client_key(folder: Path) -> None:
    """Write the key pair with which a relying party authenticates."""
    key = private_key("RS256", 0)
    (folder / "client.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "client.pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _wait_until_it_answers(issuer: str, ca_file: Path, process: ServerProcess) -> None:
    trust = ssl.create_default_context(cafile=str(ca_file))
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(f"{issuer}/jwks", verify=trust).raise_for_status()
        except httpx.HTTPError as error:
            if not process.is_running() or time.monotonic() > deadline:
                raise RuntimeError(f"{process.log_tail()}\n{error_log(process)}") from error
        else:
            return
        time.sleep(0.05)


def error_log(process: ServerProcess) -> str:
    """Return what Apache and its modules had to say."""
    path = process.folder / "error.log"
    return path.read_text(errors="replace") if path.exists() else ""
