"""The cells in which the service and the peer do the same."""

from functools import partial

from benchmarks.compare.cell import Cell
from benchmarks.compare.chains import code_flow, refresh, revocation
from benchmarks.compare.single import discovery, introspection, jwks, service_token

CELLS = [
    Cell("discovery", discovery, 1.5),
    Cell("JWKS", jwks, 1.2),
    Cell(
        "client credentials, ES256, limits off",
        partial(service_token, algorithm="ES256"),
        1.5,
        variant="limits off",
    ),
    Cell("client credentials, ES256, limits on", partial(service_token, algorithm="ES256"), 1.2),
    Cell(
        "client credentials, RS256",
        partial(service_token, algorithm="RS256"),
        1.2,
        variant="RS256",
    ),
    Cell("introspection of a JWT", introspection, 1.0, "the peer on Redis"),
    Cell("revocation of a fresh token", revocation, 1.0, "the peer on Redis"),
    Cell("refresh with rotation", refresh, 1.0, "the peer on Redis"),
    Cell("code flow with a session", code_flow, 1.0, "the peer on Redis"),
]
