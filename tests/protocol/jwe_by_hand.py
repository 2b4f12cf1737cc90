"""JSON Web Encryption undone with nothing but primitives (RFC 7516 §5.2, RFC 7518)."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.padding import PKCS7
from joserfc.jwk import ECKey, OKPKey, RSAKey

PrivateKey = RSAKey | ECKey | OKPKey


def decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def header_of(token: str) -> dict[str, Any]:
    header = json.loads(decode(token.split(".", maxsplit=1)[0]))
    assert isinstance(header, dict)
    return header


def decrypt_by_hand(token: str, key: PrivateKey) -> bytes:
    """Decrypt as RFC 7516 §5.2 and RFC 7518 say, with nothing but primitives."""
    protected, encrypted_key, iv, ciphertext, tag = token.split(".")
    header = header_of(token)
    cek = find_cek(key, header, decode(encrypted_key))
    parts = (protected.encode(), decode(iv), decode(ciphertext), decode(tag))
    if header["enc"].endswith("GCM"):
        assert len(cek) * 8 == int(header["enc"][1:4])
        aad, nonce, body, mac = parts
        return AESGCM(cek).decrypt(nonce, body + mac, aad)
    return decrypt_cbc_hmac(cek, header["enc"], *parts)


def decrypt_cbc_hmac(
    cek: bytes, enc: str, aad: bytes, iv: bytes, ciphertext: bytes, tag: bytes
) -> bytes:
    """RFC 7518 §5.2.2.2."""
    half = int(enc[1:4]) // 8
    assert len(cek) == 2 * half
    signed = aad + iv + ciphertext + (8 * len(aad)).to_bytes(8)
    digest = {"256": hashlib.sha256, "512": hashlib.sha512}[enc[-3:]]
    assert hmac.new(cek[:half], signed, digest).digest()[:half] == tag
    decryptor = Cipher(AES(cek[half:]), CBC(iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()


def find_cek(key: PrivateKey, header: Mapping[str, Any], encrypted_key: bytes) -> bytes:
    private = key.private_key
    if isinstance(private, rsa.RSAPrivateKey):
        digest = hashes.SHA256() if header["alg"] == "RSA-OAEP-256" else hashes.SHA1()  # noqa: S303 - what RSA-OAEP is
        return private.decrypt(encrypted_key, padding.OAEP(padding.MGF1(digest), digest, None))
    shared = agree(private, header["epk"])
    wrapping = header["alg"].partition("+")[2]
    if not wrapping:
        assert encrypted_key == b""
        size = int(header["enc"][1:4]) * (2 if "CBC" in header["enc"] else 1)
        return concat_kdf(shared, header["enc"], size)
    return aes_key_unwrap(concat_kdf(shared, header["alg"], int(wrapping[1:4])), encrypted_key)


def agree(private: object, epk: Mapping[str, str]) -> bytes:
    x = decode(epk["x"])
    if isinstance(private, x25519.X25519PrivateKey):
        assert set(epk) == {"kty", "crv", "x"}
        return private.exchange(x25519.X25519PublicKey.from_public_bytes(x))
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert set(epk) == {"kty", "crv", "x", "y"}
    point = b"\x04" + x + decode(epk["y"])
    peer = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, point)
    return private.exchange(ec.ECDH(), peer)


def concat_kdf(
    shared: bytes, algorithm: str, bits: int, *, apu: bytes = b"", apv: bytes = b""
) -> bytes:
    """RFC 7518 §4.6.2."""
    named = (len(part).to_bytes(4) + part for part in (algorithm.encode(), apu, apv))
    other = b"".join(named) + bits.to_bytes(4)
    rounds = (
        hashlib.sha256(counter.to_bytes(4) + shared + other).digest()
        for counter in range(1, bits // 256 + 2)
    )
    return b"".join(rounds)[: bits // 8]
