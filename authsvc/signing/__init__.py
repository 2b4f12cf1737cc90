"""Signing keys and JWTs.

Owns: the keyring, its staged rotation, and the only code that makes or verifies a
JWT's signature. Does not own what a token says (``tokens``) or where its rows lie
(``storage.signing_keys``). RFC 7515, RFC 7517, RFC 7518, RFC 7638, RFC 8725.
"""
