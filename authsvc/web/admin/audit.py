"""``/audit``: what happened, who did it, and whether the log is whole."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from authsvc.storage.audit import AuditEvent
from authsvc.web.admin.operations import Answer, Call, Operation, View, ok
from authsvc.web.admin.paging import PAGING, Page, page_of, read_cursor, read_limit


class EventView(View):
    """One event of the audit log."""

    id: str
    at: datetime
    event: str
    actor: str
    subject: str
    client_id: str
    address: str
    request_id: str
    details: Mapping[str, Any]


class Verification(View):
    """What a check of the whole log found. ``head`` is worth keeping elsewhere: a log
    that was cut off together with its end only shows against an earlier head.
    """

    valid: bool
    checked: int
    head: str
    checkpoints: int
    position: int | None
    event_id: str | None
    problem: str | None


async def _list(call: Call) -> Answer:
    limit = read_limit(call)
    before = read_cursor(call, "audit")
    resources = call.server.resources
    async with resources.database.reading() as tx:
        events = await resources.audit.list(
            tx, before=before, limit=limit + 1, event=call.query.get("event")
        )
    return page_of(
        events,
        limit=limit,
        collection="audit",
        place=lambda event: event.id,
        view=_view,
        page=Page[EventView],
    )


async def _verify(call: Call) -> Answer:
    found = await call.server.resources.audit_verifier.verify()
    return ok(Verification(valid=found.problem is None, **asdict(found)))


def _view(event: AuditEvent) -> EventView:
    members: dict[str, Any] = {name: getattr(event, name) for name in EventView.model_fields}
    return EventView(**members)


_LIST_QUERY = {**PAGING, "event": "Only events of this name, such as user.created."}

OPERATIONS = (
    Operation(
        method="GET",
        path="/audit",
        summary="List events, newest first",
        run=_list,
        answer=Page[EventView],
        query=_LIST_QUERY,
        errors=(400,),
    ),
    Operation(
        method="POST",
        path="/audit/verify",
        summary="Check that the log is whole",
        run=_verify,
        answer=Verification,
    ),
)
