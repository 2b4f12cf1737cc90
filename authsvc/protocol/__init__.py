"""The RFCs as pure functions: vocabulary, errors, and rules that need no state.

Owns: what a parameter, a redirect URI, a scope or a client's metadata may be.
Does not own: anything that is stored, and anything that is asked over HTTP.
RFC 6749, RFC 7516, RFC 7591, RFC 7636, RFC 8252, RFC 8628 §6.1, RFC 9207, RFC 9700, OpenID
Connect Core, Multiple Response Types.
"""
