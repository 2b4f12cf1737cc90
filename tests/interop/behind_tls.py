"""authsvc as it is deployed: production settings, two workers, an issuer with a path, and
before it a reverse proxy that speaks TLS. The same Apache is a relying party."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.interop.apache_process import RelyingParty, run_apache
from tests.interop.person import Person
from tests.served import Served, serve
from tests.server_process import ServerProcess
from tests.server_programs import free_port
from tests.web_certificates import CertificateAuthority

USERNAME: Final = "anna"
PASSWORD: Final = "correct horse battery"
"""Of everybody."""


@dataclass(frozen=True)
class Deployment:
    """A provider that runs at ``issuer``, and the relying parties that run beside it."""

    issuer: str
    served: Served
    ca_file: Path
    relying_parties: tuple[RelyingParty, ...]
    apache: ServerProcess

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts the authority of this deployment and no other."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def person(
        self, username: str = USERNAME, *, allows: bool = True, address: str = "127.0.0.1"
    ) -> Person:
        """Return a person at a fresh browser that connects from ``address``."""
        return Person(username, PASSWORD, tls=self.tls(), allows=allows, address=address)

    def relying_party(self, name: str) -> RelyingParty:
        """Return the one with this name."""
        return next(party for party in self.relying_parties if party.name == name)

    def create_person(self, username: str) -> str:
        """Create a person called Anna by the command line and return their identifier."""
        return create_person(self.served, username)

    def create_client(self, **metadata: Any) -> dict[str, Any]:
        """Create a client by the command line and return its registration response."""
        return create_client(self.served, metadata)


@contextmanager
def deploy(variables: Mapping[str, str], folder: Path) -> Iterator[Deployment]:
    """Run everything until the block ends; ``variables`` are settings, ``folder`` is ours."""
    port = free_port()
    issuer = f"https://localhost:{port}/auth"
    authority = CertificateAuthority(folder)
    settings = {
        "AUTHSVC_ENV": "production",
        "AUTHSVC_ISSUER": issuer,
        "AUTHSVC_REGISTRATION": "open",
        "AUTHSVC_HYBRID_FLOW": "on",
        "AUTHSVC_IMPLICIT_FLOW": "on",
        "AUTHSVC_DEVICE_POLL_INTERVAL": "1",
        "AUTHSVC_OUTBOUND_LOOPBACK": "true",
        "AUTHSVC_OUTBOUND_CA_FILE": str(authority.ca_file),
        "AUTHSVC_ARGON2_MEMORY_KIB": "8192",
        "AUTHSVC_ARGON2_TIME_COST": "1",
        **variables,
    }
    with serve(settings, folder, workers=2) as served:
        create_person(served, USERNAME)
        parties = [_register(served, name) for name in ("SECRET", "KEY")]
        with run_apache(authority, port, served, parties) as apache:
            yield Deployment(issuer, served, authority.ca_file, tuple(parties), apache)


def _register(served: Served, name: str) -> RelyingParty:
    """Register a relying party of Apache's: one with a secret, the other with a key."""
    port = free_port()
    module = f"https://127.0.0.1:{port}/private/oidc"
    metadata: dict[str, Any] = {
        "client_name": f"Apache with a {name.lower()}",
        "redirect_uris": [module],
        "initiate_login_uri": module,
        "backchannel_logout_uri": f"{module}?logout=backchannel",
        "backchannel_logout_session_required": True,
        "post_logout_redirect_uris": [f"https://127.0.0.1:{port}/"],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "openid profile email offline_access",
    }
    if name == "KEY":
        metadata |= {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": f"{module}?jwks=rsa",
            "request_object_signing_alg": "RS256",
            "require_signed_request_object": True,
            "userinfo_signed_response_alg": "RS256",
            "userinfo_encrypted_response_alg": "RSA-OAEP",
            "userinfo_encrypted_response_enc": "A128CBC-HS256",
        }
    client = create_client(served, metadata)
    return RelyingParty(name, port, client["client_id"], client.get("client_secret"))


def create_client(served: Served, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Create a client by the command line and return its registration response."""
    document = served.run("clients", "create", "--metadata", "-", stdin=json.dumps(metadata))
    return dict(document)


def create_person(served: Served, username: str) -> str:
    """Create a person called Anna by the command line and return their identifier."""
    user = served.run(
        "users", "create", username, "--email", f"{username}@example.com", "--email-verified",
        "--claim", 'name="Anna"', "--password-stdin", stdin=PASSWORD,
    )  # fmt: skip
    return str(user["id"])
