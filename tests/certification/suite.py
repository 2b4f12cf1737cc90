"""A certification suite's side of the wire: it knows an issuer, and nothing else.

It reads discovery, registers its clients as anybody may, sends a person's browser, and
checks what comes back by the specifications. The provider's code is no business of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from joserfc import jws
from joserfc.jwk import KeySet

from tests.certification.relying_party import CALLBACK, JSON, RelyingParty
from tests.provider import Account, Provider, claims_of, header_of

BASIC_TYPES = ("code",)
IMPLICIT_TYPES = ("id_token", "id_token token")
HYBRID_TYPES = ("code id_token", "code token", "code id_token token")
ALL_TYPES = BASIC_TYPES + IMPLICIT_TYPES + HYBRID_TYPES


@dataclass
class Suite:
    """The suite, pointed at one provider."""

    provider: Provider
    person: Account
    metadata: Mapping[str, Any]
    email: str = ""
    """Of the person."""

    @property
    def http(self) -> httpx.AsyncClient:
        """What calls the provider's endpoints."""
        return self.provider.http

    @property
    def issuer(self) -> str:
        """The issuer."""
        return str(self.metadata["issuer"])

    def now(self) -> float:
        """Seconds since the epoch, as the provider's clock has them."""
        return self.provider.clock.now().timestamp()

    async def post_registration(self, members: Mapping[str, Any]) -> httpx.Response:
        """Send a registration request (OpenID Connect Registration §3.1)."""
        return await self.http.post(self.metadata["registration_endpoint"], json=dict(members))

    async def register(self, response_type: str = "code", **members: Any) -> RelyingParty:
        """Register a client that uses ``response_type``; None leaves a member out."""
        response = await self.post_registration(registration_for(response_type, **members))
        assert response.status_code == 201, response.text
        return RelyingParty(self, response_type, response.json())

    async def refuse_registration(
        self, error: str, response_type: str = "code", **members: Any
    ) -> None:
        """See to it that such a client can not be registered."""
        response = await self.post_registration(registration_for(response_type, **members))
        assert response.status_code == 400, response.text
        assert response.json()["error"] == error, response.text
        assert response.headers["content-type"].partition(";")[0] == JSON

    async def jwks(self) -> list[dict[str, Any]]:
        """Return the provider's keys as it publishes them now."""
        response = await self.http.get(self.metadata["jwks_uri"])
        assert response.status_code == 200
        keys: list[dict[str, Any]] = response.json()["keys"]
        return keys

    async def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a JWT that the provider signed with a published key."""
        header = header_of(token)
        keys = {key["kid"]: key for key in await self.jwks()}
        assert header["kid"] in keys
        key_set = KeySet.import_key_set({"keys": [keys[header["kid"]]]})
        jws.deserialize_compact(
            token, key_set, algorithms=self.metadata["id_token_signing_alg_values_supported"]
        )
        return claims_of(token)

    async def userinfo(self, access_token: str) -> dict[str, Any]:
        """Return what userinfo says as JSON."""
        response = await self.http.get(
            self.metadata["userinfo_endpoint"],
            headers={"Authorization": f"Bearer {access_token}"},
        )
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].partition(";")[0] == JSON
        claims: dict[str, Any] = response.json()
        return claims


def registration_for(response_type: str = "code", **members: Any) -> dict[str, Any]:
    """Return a registration request as suites send it; None leaves a member out."""
    parts = response_type.split()
    grants = ["authorization_code"] if "code" in parts else []
    grants += ["implicit"] if {"id_token", "token"} & set(parts) else []
    wanted = {
        "client_name": "certification",
        "redirect_uris": [CALLBACK],
        "response_types": [response_type],
        "grant_types": grants,
        "token_endpoint_auth_method": "client_secret_basic",
        "contacts": ["certification@rp.example"],
        **members,
    }
    return {name: value for name, value in wanted.items() if value is not None}
