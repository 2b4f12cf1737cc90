"""``Idempotency-Key``: a creation that is repeated happens once and is answered twice.

The claim of the key, the creation and the answer are one transaction. So a creation that
failed is not remembered, and of several at once the first one creates while the others
wait for its answer. Answers may hold a client secret, so they are stored sealed.
"""

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from starlette.requests import Request

from authsvc.master_key import SealError
from authsvc.protocol.errors import Conflict, InvalidRequest
from authsvc.storage.database import Transaction
from authsvc.storage.idempotency_keys import (
    StoredAnswer,
    claim_idempotency_key,
    save_answer,
)
from authsvc.web.admin.operations import Answer, Call

HEADER: Final = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def read_idempotency_key(request: Request) -> str | None:
    """Return the key of the request; raises InvalidRequest for one that is none."""
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters, once")
    return values[0]


async def create_once(call: Call, create: Callable[[Transaction], Awaitable[Answer]]) -> Answer:
    """Return what ``create`` answers, or what it answered the first time.

    Raises Conflict for another request under the same key. ``create`` works in the
    transaction given, and opens no other.
    """
    resources = call.server.resources
    async with resources.database.transaction() as tx:
        if call.idempotency_key is None:
            return await create(tx)
        key_hash = resources.opaque_hash(
            "idempotency key", f"key\n{call.origin.actor}\n{call.idempotency_key}"
        )
        request_hash = resources.opaque_hash(
            "idempotency key", f"request\n{call.target}\n{call.raw_body.decode('latin-1')}"
        )
        now = resources.clock.now()
        stored = await claim_idempotency_key(
            tx,
            key_hash,
            request_hash,
            now=now,
            expires_at=now + resources.settings.idempotency_key_ttl,
        )
        if stored is not None:
            return _replay(call, stored, key_hash, request_hash)
        answer = await create(tx)
        content = orjson.dumps([answer.content.decode(), answer.location])
        sealed = resources.master_keys.seal(content, purpose=_purpose(key_hash))
        await save_answer(tx, key_hash, status=answer.status, response_sealed=sealed)
        return answer


def _replay(call: Call, stored: StoredAnswer, key_hash: bytes, request_hash: bytes) -> Answer:
    if not hmac.compare_digest(stored.request_hash, request_hash):
        raise Conflict("This Idempotency-Key was used for another request")
    try:
        if stored.status is None or stored.response_sealed is None:
            raise SealError("no answer was stored")
        opened = call.server.resources.master_keys.open(
            stored.response_sealed, purpose=_purpose(key_hash)
        )
    except SealError as error:
        raise Conflict(
            "The answer under this Idempotency-Key can not be read any more", detail="unsealing"
        ) from error
    content, location = orjson.loads(opened)
    return Answer(stored.status, content.encode(), location)


def _purpose(key_hash: bytes) -> str:
    # Bound to its row: an answer that was moved under another key does not open.
    return f"idempotent answer {key_hash.hex()}"
