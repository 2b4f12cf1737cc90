"""Connections, to checked addresses alone.

The check stands where the connection is made and what was checked is what is connected
to: no second look-up lies between, so a name that changes its answer gains nothing.
"""

import asyncio
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import httpcore

from authsvc.outbound.addresses import Address, Network, are_allowed, parse_addresses
from authsvc.outbound.errors import Refused, Unreachable
from authsvc.outbound.lookups import Lookups

_MAX_ATTEMPTS: Final = 4


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to hosts of which every address is allowed."""

    def __init__(
        self,
        lookups: Lookups,
        dialer: httpcore.AsyncNetworkBackend,
        *,
        public: bool,
        loopback: bool,
        networks: Sequence[Network] = (),
    ) -> None:
        """Connect with ``dialer``, which is only ever given addresses that were checked."""
        self._lookups = lookups
        self._dialer = dialer
        self._public = public
        self._loopback = loopback
        self._networks = networks

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect within ``timeout`` seconds: the look-up, and the host's first addresses.

        Raises Refused for an address that is not allowed, Unreachable for a name without
        one, Busy when its look-up has to wait too long, and httpcore's errors when no
        address answers.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + (math.inf if timeout is None else timeout)
        candidates = (await self._get_addresses(host, port, until))[:_MAX_ATTEMPTS]
        share = max(until - loop.time(), 0) / len(candidates)
        failure: Exception | None = None
        for address in candidates:
            try:
                return await self._dialer.connect_tcp(str(address), port, timeout=share)
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure or httpcore.ConnectError("the host has no address")

    async def _get_addresses(self, host: str, port: int, until: float) -> list[Address]:
        now = asyncio.get_running_loop().time()
        # Half of the time is for the look-up and the connection, or it would prove nothing.
        start_by = now + (until - now) / 2
        try:
            addresses = parse_addresses(
                await self._lookups.find(host, port, start_by=start_by, until=until)
            )
        except OSError as error:
            reason = f"the name does not resolve: {error.strerror or error}"
            raise Unreachable(reason) from error
        except ValueError as error:
            raise Refused("the resolver answered with what is no address") from error
        self._check(host, addresses)
        return addresses

    def check_host(self, host: str) -> None:
        """Raise Refused for an address that requests may not go to; a name is looked up later."""
        with suppress(ValueError):
            self._check(host, parse_addresses([host]))

    def _check(self, host: str, addresses: Sequence[Address]) -> None:
        if not are_allowed(
            addresses, public=self._public, loopback=self._loopback, networks=self._networks
        ):
            # A name may have other addresses later: a resolver's lapse is no reason for whoever
            # tries again to give up. An address that the URL holds stays what it is.
            temporary = not _is_address(host)
            raise Refused(
                "the host has an address that requests may not go to", temporary=temporary
            )


def _is_address(host: str) -> bool:
    try:
        parse_addresses([host])
    except ValueError:
        return False
    return True
