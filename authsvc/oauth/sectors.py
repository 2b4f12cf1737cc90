"""Sector identifiers: which redirect URIs share their pairwise subjects.

OpenID Connect Core §8.1, OpenID Connect Registration §5.
"""

import orjson

from authsvc.outbound import Outbound, OutboundError
from authsvc.protocol.client_metadata import ClientMetadata
from authsvc.protocol.errors import InvalidClientMetadata


class SectorIdentifiers:
    """Fetches the lists that sector identifier URIs name."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def check(self, metadata: ClientMetadata) -> None:
        """Raise InvalidClientMetadata unless each redirect URI is in the client's list.

        Without that, a client could choose the sector of another, and so learn how its
        people are known there.
        """
        uri = metadata.sector_identifier_uri
        if uri is None:
            return
        try:
            listed = orjson.loads(await self._outbound.get(uri))
        except OutboundError as error:
            raise InvalidClientMetadata(
                "sector_identifier_uri can not be read", detail=error.reason
            ) from error
        except orjson.JSONDecodeError as error:
            raise InvalidClientMetadata("sector_identifier_uri does not hold JSON") from error
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise InvalidClientMetadata("sector_identifier_uri does not hold a list of URIs")
        if not set(metadata.redirect_uris) <= set(listed):
            raise InvalidClientMetadata(
                "sector_identifier_uri does not list all redirect_uris of the client"
            )
