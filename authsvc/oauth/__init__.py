"""The authorization server: what happens at each endpoint, step by step.

Owns: clients and their authentication, the decision at the authorization endpoint, the
token endpoint and its grants, introspection, revocation, logout, and the metadata.
Does not own: HTTP (``web``), SQL (``storage``), the look of a token (``tokens``).
RFC 6749, RFC 6750, RFC 7009, RFC 7523, RFC 7636, RFC 7662, RFC 8414, RFC 8707,
RFC 9207, RFC 9700, OpenID Connect Core, Discovery and RP-Initiated Logout.
"""
