"""``/sessions``: who is signed in where."""

from datetime import datetime
from typing import Any

from authsvc.protocol.errors import InvalidRequest, NotFound
from authsvc.storage.identifiers import is_id
from authsvc.storage.sessions import Session, find_session_by_id, list_sessions
from authsvc.web.admin.operations import NO_CONTENT, Answer, Call, Operation, View, ok
from authsvc.web.admin.paging import PAGING, Page, page_of, read_cursor, read_limit


class SessionView(View):
    """A person signed in with one browser."""

    id: str
    user_id: str
    auth_time: datetime
    acr: str
    amr: tuple[str, ...]
    address: str
    user_agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


async def _list(call: Call) -> Answer:
    limit = read_limit(call)
    after = read_cursor(call, "sessions")
    user_id = call.query.get("user")
    if user_id is not None and not is_id(user_id):
        raise InvalidRequest("user must be the identifier of a user")
    resources = call.server.resources
    async with resources.database.reading() as tx:
        sessions = await list_sessions(
            tx, user_id=user_id, after=after, limit=limit + 1, now=resources.clock.now()
        )
    return page_of(
        sessions,
        limit=limit,
        collection="sessions",
        place=lambda session: session.id,
        view=_view,
        page=Page[SessionView],
    )


async def _show(call: Call) -> Answer:
    resources = call.server.resources
    async with resources.database.reading() as tx:
        session = await find_session_by_id(tx, call.id("session_id"))
    if session is None or session.expires_at <= resources.clock.now():
        raise NotFound("There is no such session")
    return ok(_view(session))


async def _end(call: Call) -> Answer:
    resources = call.server.resources
    session_id = call.id("session_id")
    async with resources.database.transaction() as tx:
        user_id = await resources.revoker.revoke_session(tx, session_id)
        if user_id is None:
            raise NotFound("There is no such session")
        await resources.audit.record(
            tx,
            "session.ended",
            call.origin,
            now=resources.clock.now(),
            subject=user_id,
            session=session_id,
        )
    return NO_CONTENT


def _view(session: Session) -> SessionView:
    members: dict[str, Any] = {name: getattr(session, name) for name in SessionView.model_fields}
    return SessionView(**members)


_LIST_QUERY = {**PAGING, "user": "Only the sessions of the user with this id."}
_SESSION = "/sessions/{session_id}"

OPERATIONS = (
    Operation(
        method="GET",
        path="/sessions",
        summary="List living sessions, oldest first",
        run=_list,
        answer=Page[SessionView],
        query=_LIST_QUERY,
        errors=(400,),
    ),
    Operation(
        method="GET",
        path=_SESSION,
        summary="Show a session",
        run=_show,
        answer=SessionView,
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path=_SESSION,
        summary="End a session and the access tokens it got",
        run=_end,
        status=204,
        errors=(404,),
    ),
)
