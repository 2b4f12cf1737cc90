"""The authorization server: what happens at each endpoint, step by step.

Owns: clients, their registration and authentication, the decision at the authorization
endpoint, the token endpoint and its grants, device authorization, introspection,
revocation, logout and its notices, and the metadata. Does not own: HTTP (``web``), SQL
(``storage``), the look of a token (``tokens``), requests that go out (``outbound``).
RFC 6749, RFC 6750, RFC 7009, RFC 7523, RFC 7591, RFC 7592, RFC 7636, RFC 7662, RFC 8414,
RFC 8628, RFC 8707, RFC 9101, RFC 9207, RFC 9700; OpenID Connect Core, Discovery, Dynamic
Client Registration, Session Management, and the three kinds of logout.
"""
