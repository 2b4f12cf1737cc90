"""A checkpoint of the audit chain: its head, signed, as a compact JWS (RFC 7515).

Anybody can verify it with the JWKS. It is of a type of its own and has neither audience,
subject nor expiry, so that nothing takes it for a token. It also carries a MAC of the
installation over its content and ``kid``. A ``kid`` is the thumbprint of its key
(RFC 7638), so the MAC binds the key as well: whoever can write to the database, or holds a
stolen signing key, still makes no checkpoint without the master key, and a public JWK that
is kept beside a checkpoint vouches for itself after the key left the keyring.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from authsvc.clock import timestamp
from authsvc.signing.algorithms import ALGORITHMS, thumbprint
from authsvc.signing.jwt import (
    InvalidJwt,
    parse_unverified_claims,
    parse_unverified_header,
    sign,
    verify_with_jwk,
)
from authsvc.signing.keyring import SigningKey
from authsvc.storage.audit_chain import AuditChain, AuditHead

TYP = "audit-checkpoint+jwt"


@dataclass(frozen=True, slots=True)
class AuditCheckpoint:
    """What a checkpoint says. ``issued_at`` is a NumericDate (RFC 7519 §2).

    ``previous`` is the position of the checkpoint before it, 0 for the first: so that none
    can be taken out of the middle.
    """

    issuer: str
    issued_at: int
    head: AuditHead
    previous: int
    kid: str

    def content(self) -> bytes:
        """Return all of it as the bytes that the MAC is made over."""
        return orjson.dumps([self.issuer, self.issued_at, str(self.head), self.previous, self.kid])


def mint_checkpoint(
    chain: AuditChain,
    key: SigningKey,
    *,
    issuer: str,
    head: AuditHead,
    previous: int,
    now: datetime,
) -> str:
    """Return the checkpoint for ``head`` as a compact JWS."""
    checkpoint = AuditCheckpoint(issuer, timestamp(now), head, previous, key.kid)
    claims = {
        "iss": issuer,
        "iat": checkpoint.issued_at,
        "position": head.position,
        "chain_hash": head.chain_hash.hex(),
        "previous": previous,
        "mac": chain.authenticate(checkpoint.content()).hex(),
    }
    return sign(key, claims, typ=TYP)


def parse_checkpoint(text: str, chain: AuditChain) -> AuditCheckpoint:
    """Return what a checkpoint of this installation says; raises InvalidJwt.

    The MAC is checked, the signature is not: see ``check_signature``.
    """
    header, claims = parse_unverified_header(text), parse_unverified_claims(text)
    if header.get("typ") != TYP:
        raise InvalidJwt("another type")
    try:
        head = AuditHead(int(claims["position"]), bytes.fromhex(claims["chain_hash"]))
        checkpoint = AuditCheckpoint(
            claims["iss"], claims["iat"], head, claims["previous"], header["kid"]
        )
        mac, content = bytes.fromhex(claims["mac"]), checkpoint.content()
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidJwt("not a checkpoint") from error
    if not hmac.compare_digest(mac, chain.authenticate(content)):
        raise InvalidJwt("not of this installation")
    return checkpoint


def check_signature(text: str, checkpoint: AuditCheckpoint, jwk: Mapping[str, Any]) -> None:
    """Raise InvalidJwt unless ``jwk`` is the key that the checkpoint names, and signed it."""
    try:
        fits = thumbprint(jwk) == checkpoint.kid
    except (KeyError, TypeError) as error:
        raise InvalidJwt("not a key") from error
    alg = jwk.get("alg")
    if not fits or not isinstance(alg, str) or alg not in ALGORITHMS:
        raise InvalidJwt("another key")
    verify_with_jwk(text, jwk, alg)
