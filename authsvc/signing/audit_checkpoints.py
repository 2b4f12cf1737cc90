"""When the audit chain gets a signed checkpoint, and by which key."""

from datetime import timedelta
from typing import Final

from authsvc.clock import Clock
from authsvc.logs import get_logger
from authsvc.protocol.errors import Conflict
from authsvc.signing.audit_checkpoint import mint_checkpoint, parse_checkpoint
from authsvc.signing.jwt import InvalidJwt
from authsvc.signing.keyring import Keyring, SigningKey
from authsvc.storage.audit_chain import AuditChain, AuditHead
from authsvc.storage.audit_checkpoints import (
    CheckpointRow,
    find_last_checkpoint,
    save_checkpoint,
)
from authsvc.storage.database import Database, Transaction
from authsvc.storage.registry import Snapshot

log = get_logger(__name__)

INTERVAL: Final = timedelta(minutes=5)
"""A checkpoint is due this long after the last, once there are new events …"""
EVENTS: Final = 10_000
"""… or after so many of them."""


class AuditCheckpoints:
    """Issues checkpoints, signed by the active key for ``alg``."""

    def __init__(
        self,
        database: Database,
        chain: AuditChain,
        keyring: Snapshot[Keyring],
        clock: Clock,
        *,
        issuer: str,
        alg: str,
    ) -> None:
        self._database = database
        self._chain = chain
        self._keyring = keyring
        self._clock = clock
        self._issuer = issuer
        self._alg = alg

    async def issue_if_due(self, head: AuditHead) -> None:
        """Issue a checkpoint when ``head`` has moved and the last one is old or far back.

        Raises Conflict when the log was tampered with, so that it ends before a checkpoint.
        """
        async with self._database.reading() as tx:
            last = await find_last_checkpoint(tx)
        moved = head.position - (last.position if last else 0)
        age = abs(self._clock.now() - last.created_at) if last else INTERVAL
        if moved < 0 or (moved > 0 and (age >= INTERVAL or moved >= EVENTS)):
            await self.issue()

    async def issue(self) -> str:
        """Chain what is not chained yet and return a signed checkpoint of the head.

        One that is stored for this head is returned as it is. Raises Conflict when the log
        was tampered with and contradicts the last checkpoint, TemporarilyUnavailable without
        a signing key.
        """
        key = (await self._keyring.get()).active(self._alg)
        async with self._database.transaction() as tx:
            head = await self._chain.chain(tx)
            last = await find_last_checkpoint(tx)
            if last is None or last.position < head.position:
                return await self._issue(tx, key, head, last.position if last else 0)
        try:
            fits = parse_checkpoint(last.checkpoint, self._chain).head == head
        except InvalidJwt:
            fits = False
        if not fits:
            raise Conflict("The audit log was tampered with: run `authsvc audit verify`")
        return last.checkpoint

    async def _issue(self, tx: Transaction, key: SigningKey, head: AuditHead, previous: int) -> str:
        now = self._clock.now()
        text = mint_checkpoint(
            self._chain, key, issuer=self._issuer, head=head, previous=previous, now=now
        )
        await save_checkpoint(tx, CheckpointRow(head.position, text, key.public_jwk, now))
        # In the logs it is out of the reach of who can write to the database.
        log.info("audit_checkpoint_issued", position=head.position, checkpoint=text)
        return text
