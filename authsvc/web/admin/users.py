"""``/users``: accounts, their passwords, their sessions and the roles they hold."""

from collections.abc import Mapping
from typing import Any, Final

from authsvc.protocol.errors import InvalidRequest, NotFound
from authsvc.storage.database import Transaction
from authsvc.storage.users import (
    User,
    find_role_ids,
    find_user,
    find_user_by_login,
    list_users,
    update_user,
)
from authsvc.web.admin.holders import HeldRoles, held_roles, holder_operations
from authsvc.web.admin.idempotency import create_once
from authsvc.web.admin.operations import NO_CONTENT, Answer, Call, Operation, ok
from authsvc.web.admin.paging import PAGING, Page, page_of, read_cursor, read_limit
from authsvc.web.admin.user_models import (
    EndedSessions,
    NewPassword,
    NewUser,
    UserChange,
    UserView,
    user_view,
)

_MAX_CLAIMS: Final = 100


async def _list(call: Call) -> Answer:
    limit = read_limit(call)
    after = read_cursor(call, "users")
    async with call.server.resources.database.reading() as tx:
        if "login" in call.query:
            found = await find_user_by_login(tx, call.query["login"])
            users = [] if found is None or (after or "") >= found.id else [found]
        else:
            users = await list_users(tx, after=after, limit=limit + 1)
    return page_of(
        users,
        limit=limit,
        collection="users",
        place=lambda user: user.id,
        view=user_view,
        page=Page[UserView],
    )


async def _create(call: Call, body: NewUser) -> Answer:
    people = call.server.resources.people
    if body.email_verified and body.email is None:
        raise InvalidRequest("email_verified needs an email")
    password_hash = None
    if body.password is not None:
        password_hash = await people.hash_new_password(
            body.password, names=(body.username, body.email)
        )

    async def create(tx: Transaction) -> Answer:
        user = await people.create(
            tx,
            call.origin,
            username=body.username,
            email=body.email,
            email_verified=body.email_verified,
            password_hash=password_hash,
            claims=_without_none(body.claims),
        )
        return ok(user_view(user), status=201, location=call.location("users", user.id))

    return await create_once(call, create)


async def _show(call: Call) -> Answer:
    async with call.server.resources.database.reading() as tx:
        return ok(user_view(await _get(tx, call)))


async def _change(call: Call, body: UserChange) -> Answer:
    people, clock = call.server.resources.people, call.server.resources.clock
    asked = body.model_fields_set
    async with call.server.resources.database.transaction() as tx:
        user = await _get(tx, call)
        if asked - {"disabled"}:
            # Takes the row's lock: of two changes at once the second sees the first.
            user = await update_user(tx, user.id, {}, now=clock.now())
            user = await people.update(tx, user.id, call.origin, _changes(user, body))
        if "disabled" in asked:
            act = people.disable if body.disabled else people.enable
            user = await act(tx, user.id, call.origin)
    return ok(user_view(user))


def _changes(user: User, body: UserChange) -> dict[str, Any]:
    changes = body.model_dump(include=body.model_fields_set - {"disabled"})
    email = changes.get("email", user.email)
    if email != user.email:
        # Whoever proved the old address has not proved the new one.
        changes.setdefault("email_verified", False)
    if changes.get("email_verified") and email is None:
        raise InvalidRequest("email_verified needs an email")
    if "claims" in changes:
        changes["claims"] = _without_none({**user.claims, **changes["claims"]})
        if len(changes["claims"]) > _MAX_CLAIMS:
            raise InvalidRequest(f"A user has at most {_MAX_CLAIMS} claims")
    return changes


async def _delete(call: Call) -> Answer:
    async with call.server.resources.database.transaction() as tx:
        await call.server.resources.people.delete(tx, (await _get(tx, call)).id, call.origin)
    return NO_CONTENT


async def _set_password(call: Call, body: NewPassword) -> Answer:
    resources = call.server.resources
    async with resources.database.reading() as tx:
        user = await _get(tx, call)
    # Before the transaction opens: a hash takes as long as many statements.
    password_hash = await resources.people.hash_new_password(
        body.password, names=(user.username, user.email)
    )
    async with resources.database.transaction() as tx:
        await resources.people.set_password(tx, user.id, password_hash, call.origin)
    return NO_CONTENT


async def _revoke_sessions(call: Call) -> Answer:
    resources = call.server.resources
    async with resources.database.transaction() as tx:
        ended = await resources.people.revoke_sessions(tx, call.id("user_id"), call.origin)
    return ok(EndedSessions(sessions=ended))


async def _roles(call: Call) -> HeldRoles:
    async with call.server.resources.database.reading() as tx:
        return await held_roles(tx, await find_role_ids(tx, (await _get(tx, call)).id))


async def _get(tx: Transaction, call: Call) -> User:
    user = await find_user(tx, call.id("user_id"))
    if user is None:
        raise NotFound("There is no such user")
    return user


def _without_none(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}


_LIST_QUERY = {**PAGING, "login": "Only the person with this user name or mail address."}
_USER = "/users/{user_id}"

OPERATIONS = (
    Operation(
        method="GET",
        path="/users",
        summary="List users, oldest first",
        run=_list,
        answer=Page[UserView],
        query=_LIST_QUERY,
        errors=(400,),
    ),
    Operation(
        method="POST",
        path="/users",
        summary="Create a user",
        run=_create,
        body=NewUser,
        answer=UserView,
        status=201,
        creates=True,
        errors=(400, 409, 415),
    ),
    Operation(
        method="GET", path=_USER, summary="Show a user", run=_show, answer=UserView, errors=(404,)
    ),
    Operation(
        method="PATCH",
        path=_USER,
        summary="Change a user",
        run=_change,
        body=UserChange,
        answer=UserView,
        errors=(400, 404, 409, 415),
    ),
    Operation(
        method="DELETE",
        path=_USER,
        summary="Delete a user and end all they had",
        run=_delete,
        status=204,
        errors=(404,),
    ),
    Operation(
        method="PUT",
        path=f"{_USER}/password",
        summary="Set the password and end what was signed in with the old one",
        run=_set_password,
        body=NewPassword,
        status=204,
        errors=(400, 404, 415),
    ),
    Operation(
        method="POST",
        path=f"{_USER}/revoke-sessions",
        summary="End all the user is signed in to",
        run=_revoke_sessions,
        answer=EndedSessions,
        errors=(404,),
    ),
    *holder_operations("user", _USER, _roles),
)
