"""The ways to get tokens, one file each.

Owns: the checks and the order of writes of each grant. Does not own: client
authentication and the choice of the grant (``oauth.token``). RFC 6749 §4, §6,
RFC 8628 §3.4.
"""
