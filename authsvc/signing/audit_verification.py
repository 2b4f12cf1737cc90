"""Whether the audit log is whole: its events, their chain, its checkpoints, kept heads."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from authsvc.protocol.errors import InvalidRequest
from authsvc.signing.algorithms import thumbprint
from authsvc.signing.audit_checkpoint import AuditCheckpoint, check_signature, parse_checkpoint
from authsvc.signing.jwt import InvalidJwt
from authsvc.signing.keyring import Keyring
from authsvc.storage.audit_chain import AuditChain, AuditHead, find_head_at
from authsvc.storage.audit_checkpoints import CheckpointRow, list_checkpoints
from authsvc.storage.database import Database, Transaction
from authsvc.storage.registry import Snapshot

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """What a verification found; ``position`` is the place of the first problem.

    ``checked`` events are whole, up to the ``head``, and so are ``checkpoints`` of them.
    """

    checked: int
    head: str
    checkpoints: int = 0
    position: int | None = None
    event_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _KeptHead:
    """A head from elsewhere; ``checkpoint`` and ``text`` where it is a signed one."""

    head: AuditHead
    text: str = ""
    checkpoint: AuditCheckpoint | None = None


class AuditVerifier:
    """Verifies the whole log."""

    def __init__(self, database: Database, chain: AuditChain, keyring: Snapshot[Keyring]) -> None:
        self._database = database
        self._chain = chain
        self._keyring = keyring

    async def verify(self, kept: Iterable[str] = ()) -> AuditVerification:
        """Check every event, the chain, and every checkpoint; name the first that does not fit.

        ``kept`` are heads that were kept elsewhere, as ``POSITION:HEX`` or as checkpoints;
        raises InvalidRequest for one that is neither, or was not made by this installation.
        """
        heads = [self._parse_kept(text) for text in kept]
        finding = await self._chain.verify(self._database)
        found = AuditVerification(finding.checked, str(finding.head))
        if finding.problem is not None:
            return replace(
                found,
                position=finding.checked + 1,
                event_id=finding.event_id,
                problem=finding.problem,
            )
        async with self._database.reading() as tx:
            jwks: dict[str, Mapping[str, Any]] = {}
            found = await self._check_checkpoints(tx, found, jwks)
            if found.problem is None:
                for head in heads:
                    await self._check_key(head, jwks)
                    found = await _compare(tx, found, head)
                    if found.problem is not None:
                        break
        return found

    async def _check_checkpoints(
        self, tx: Transaction, found: AuditVerification, jwks: dict[str, Mapping[str, Any]]
    ) -> AuditVerification:
        previous = 0
        async with aclosing(list_checkpoints(tx)) as batches:
            async for batch in batches:
                checked, problem = await asyncio.to_thread(self._check_batch, batch, previous)
                found = replace(found, checkpoints=found.checkpoints + checked)
                if problem is not None:
                    return replace(found, position=batch[checked][0].position, problem=problem)
                if batch:
                    previous = batch[-1][0].position
                jwks |= {thumbprint(row.public_jwk): row.public_jwk for row, _ in batch}
        return found

    def _check_batch(
        self, batch: Sequence[tuple[CheckpointRow, bytes | None]], previous: int
    ) -> tuple[int, str | None]:
        """Return how many of the batch are whole, and what is wrong with the next one."""
        for number, (row, link) in enumerate(batch):
            problem = self._find_problem(row, link, previous)
            if problem is not None:
                return number, problem
            previous = row.position
        return len(batch), None

    def _find_problem(self, row: CheckpointRow, link: bytes | None, previous: int) -> str | None:
        try:
            checkpoint = parse_checkpoint(row.checkpoint, self._chain)
        except InvalidJwt:
            return "this checkpoint was changed, or was not made by this installation"
        try:
            check_signature(row.checkpoint, checkpoint, row.public_jwk)
        except InvalidJwt:
            return "this checkpoint was not signed by the key that it names"
        if checkpoint.head.position != row.position:
            return "this checkpoint was moved to another position"
        if checkpoint.previous != previous:
            return "the checkpoints before this one were removed or reordered"
        if link is None:
            return "the log ends before this checkpoint: events were removed"
        if link != checkpoint.head.chain_hash:
            return "the log is another one than that of this checkpoint"
        return None

    def _parse_kept(self, text: str) -> _KeptHead:
        match = _HEAD.fullmatch(text)
        if match:
            return _KeptHead(AuditHead(int(match[1]), bytes.fromhex(match[2])))
        try:
            checkpoint = parse_checkpoint(text, self._chain)
        except InvalidJwt as error:
            raise InvalidRequest(
                f"The head that was given is none that this installation made ({error})"
            ) from error
        return _KeptHead(checkpoint.head, text, checkpoint)

    async def _check_key(self, kept: _KeptHead, jwks: Mapping[str, Mapping[str, Any]]) -> None:
        """Check the signature, wherever its key is; where it is lost the MAC has told enough."""
        if kept.checkpoint is None:
            return
        key = (await self._keyring.get()).find(kept.checkpoint.kid)
        jwk = key.public_jwk if key else jwks.get(kept.checkpoint.kid)
        try:
            if jwk is not None:
                check_signature(kept.text, kept.checkpoint, jwk)
        except InvalidJwt as error:
            raise InvalidRequest(
                "The head that was given was not signed by the key that it names"
            ) from error


async def _compare(tx: Transaction, found: AuditVerification, kept: _KeptHead) -> AuditVerification:
    stored = await find_head_at(tx, kept.head.position)
    if stored is None:
        problem = "the log ends before the head that was given: events were removed"
    elif stored != kept.head:
        problem = "the log is another one than that of the head that was given"
    else:
        return found
    return replace(found, position=kept.head.position, problem=problem)
