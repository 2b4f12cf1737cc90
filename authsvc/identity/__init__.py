"""People: their accounts, passwords, sign-in and sessions.

Owns: who a person is and how they prove it. Does not own: what a client may do on
their behalf (``oauth``) nor what they may do (``access``). RFC 8265, RFC 9106, NIST SP
800-63B §3.1.1.
"""
