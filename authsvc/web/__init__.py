"""The HTTP edge: requests in, responses out; no SQL and no policy.

Owns: routes, the reading of requests, cookies, pages, the form of every error, and the
transaction that a request runs in. Does not own: any decision about a token or a person
(``oauth``, ``identity``). RFC 9110, RFC 6265bis, RFC 7239, CSP Level 3.
"""
