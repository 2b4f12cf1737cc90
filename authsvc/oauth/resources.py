"""Resource indicators: whom a token is for (RFC 8707)."""

from collections.abc import Sequence

from authsvc.oauth.clients import Client
from authsvc.protocol.errors import InvalidTarget
from authsvc.protocol.parameters import Parameters
from authsvc.protocol.scope import OPENID
from authsvc.protocol.uris import parse_resource


def read_resources(parameters: Parameters, client: Client) -> tuple[str, ...]:
    """Return the resources asked for; raises InvalidTarget for one not registered for it."""
    resources = tuple(dict.fromkeys(map(parse_resource, parameters.get_all("resource"))))
    for resource in resources:
        if resource not in client.metadata.resources:
            raise InvalidTarget("The resource is not registered for this client")
    return resources


def narrow_resources(parameters: Parameters, granted: Sequence[str]) -> tuple[str, ...]:
    """Return the part of ``granted`` that is asked for now; raises InvalidTarget for more."""
    resources = tuple(dict.fromkeys(map(parse_resource, parameters.get_all("resource"))))
    for resource in resources:
        if resource not in granted:
            raise InvalidTarget("The resource was not granted")
    return resources or tuple(granted)


def audience_of(issuer: str, resources: Sequence[str], scope: Sequence[str]) -> tuple[str, ...]:
    """Return the ``aud`` of an access token (RFC 9068 §3).

    Without a resource the token is for the issuer's own endpoints. With ``openid`` it is
    for userinfo as well.
    """
    if not resources:
        return (issuer,)
    return (*resources, issuer) if OPENID in scope else tuple(resources)
