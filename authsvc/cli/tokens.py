"""``authsvc tokens``: look into one, take some back."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from authsvc.cli.input import RANDOM_ARGUMENT, STDIN, read_token
from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_document, print_json, print_lines
from authsvc.cli.refusal import Refused
from authsvc.cli.token_inspection import inspect_token
from authsvc.storage.database import Transaction
from authsvc.storage.refresh_tokens import find_refresh_token, revoke_families_of_session
from authsvc.storage.users import get_user
from authsvc.tokens.access_token import verify_access_token
from authsvc.tokens.everything import revoke_everything
from authsvc.tokens.opaque import MAX_LENGTH

app = typer.Typer(help="Tokens: look into one, take some back.")


TokenOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="File that holds an access token, or a refresh token, whose whole family "
        "ends; - is standard input.",
    ),
]
UserOption = Annotated[
    str | None,
    typer.Option(metavar="USER", help="All of this person: name, email or identifier."),
]
ClientOption = Annotated[
    str | None, typer.Option(metavar="CLIENT_ID", help="All that this client was issued.")
]
SessionOption = Annotated[
    str | None, typer.Option(metavar="ID", help="All that came of this browser session.")
]
EverythingOption = Annotated[
    bool,
    typer.Option(
        "--everything",
        help="All of everybody: every session, code, refresh token, access token, initial "
        "access token, and link for a forgotten password. Safe to interrupt and to repeat.",
    ),
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was revoked, as JSON and in words."""

    document: dict[str, Any]
    words: str


@app.command(context_settings=RANDOM_ARGUMENT)
def inspect(
    token: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN", help="The token; - reads it from standard input, where nobody sees it."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what a token says, and if it is good."""
    text = read_token(STDIN) if token == STDIN else token

    async def work(operation: Operation) -> dict[str, Any]:
        return await inspect_token(operation, text)

    print_document(operate(work), as_json=as_json)


@app.command()
def revoke(
    token: TokenOption = None,
    user: UserOption = None,
    client: ClientOption = None,
    session: SessionOption = None,
    everything: EverythingOption = False,
    as_json: AsJson = False,
) -> None:
    """Take tokens back.

    Name one of --token, --user, --client, --session and --everything.
    """
    named = sum(selector is not None for selector in (token, user, client, session))
    if named + everything != 1:
        raise typer.BadParameter(
            "name one of --token, --user, --client, --session and --everything"
        )
    text = read_token(token) if token is not None else ""

    async def work(operation: Operation) -> Outcome:
        if everything:
            return await _revoke_everything(operation)
        async with operation.database.transaction() as tx:
            if user is not None:
                return await _revoke_user(operation, tx, user)
            if client is not None:
                return await _revoke_client(operation, tx, client)
            if session is not None:
                return await _revoke_session(operation, tx, session)
            return await _revoke_token(operation, tx, text)

    outcome = operate(work)
    if as_json:
        print_json(outcome.document)
    else:
        print_lines(outcome.words)


async def _revoke_user(operation: Operation, tx: Transaction, reference: str) -> Outcome:
    user = await get_user(tx, reference)
    people = operation.resources.people
    sessions = await people.revoke_sessions(tx, user.id, operation.origin)
    return Outcome(
        {"revoked": "user", "user": user.id, "username": user.username, "sessions": sessions},
        f"Every token of {user.username} is revoked; {sessions} sessions ended.",
    )


async def _revoke_client(operation: Operation, tx: Transaction, client_id: str) -> Outcome:
    client = await operation.server.client_administration.get(tx, client_id)
    families = await operation.resources.revoker.revoke_client(tx, client.client_id)
    await _record(operation, tx, "client.tokens_revoked", client_id, client_id, families=families)
    return Outcome(
        {"revoked": "client", "client_id": client_id, "families": families},
        f"Every token of the client {client_id} is revoked; {families} refresh families ended.",
    )


async def _revoke_session(operation: Operation, tx: Transaction, session_id: str) -> Outcome:
    revoker = operation.resources.revoker
    user_id = await revoker.revoke_session(tx, session_id)
    if user_id is None:
        raise Refused("there is no such session, or it has ended")
    now = operation.resources.clock.now()
    families = await revoke_families_of_session(tx, session_id, now=now)
    for family_id in families:
        await revoker.revoke_family(tx, family_id)
    ended = len(families)
    await _record(operation, tx, "session.revoked", user_id, session=session_id, families=ended)
    return Outcome(
        {"revoked": "session", "session": session_id, "user": user_id, "families": ended},
        f"The session {session_id} has ended with all its tokens; {ended} refresh families ended.",
    )


async def _revoke_everything(operation: Operation) -> Outcome:
    resources = operation.resources
    ended = await revoke_everything(
        operation.database,
        resources.revoker,
        resources.audit,
        resources.clock,
        operation.origin,
    )
    return Outcome(
        {"revoked": "everything", **asdict(ended)},
        f"Every token of {ended.clients} clients is revoked. {ended.people} people were signed "
        f"in; {ended.sessions} sessions and {ended.families} refresh families ended, and "
        f"{ended.initial_access_tokens} initial access tokens and "
        f"{ended.password_reset_links} links for a forgotten password.",
    )


async def _revoke_token(operation: Operation, tx: Transaction, text: str) -> Outcome:
    if "." not in text:
        return await _revoke_refresh_token(operation, tx, text)
    resources = operation.resources
    token = verify_access_token(
        text,
        await resources.keyring.get(),
        issuer=operation.server.issuer,
        now=resources.clock.now(),
        ttl=resources.settings.access_token_ttl,
    )
    await resources.revoker.revoke_token(tx, token.token_id, token.expires_at)
    await _record(operation, tx, "access_token.revoked", token.token_id, token.client_id)
    return Outcome(
        {
            "revoked": "access_token",
            "jti": token.token_id,
            "sub": token.subject,
            "client_id": token.client_id,
            "expires_at": token.expires_at,
        },
        f"The access token {token.token_id} of {token.client_id} is revoked.",
    )


async def _revoke_refresh_token(operation: Operation, tx: Transaction, text: str) -> Outcome:
    resources = operation.resources
    found = None
    if len(text) <= MAX_LENGTH:
        found = await find_refresh_token(tx, resources.opaque_hash("refresh token", text))
    if found is None:
        raise Refused("there is no such token")
    family = found.family
    await resources.revoker.revoke_family(tx, family.id)
    await _record(operation, tx, "refresh_token.revoked", family.id, family.client_id)
    return Outcome(
        {
            "revoked": "refresh_token",
            "family_id": family.id,
            "sub": family.user_id,
            "client_id": family.client_id,
        },
        f"The refresh token's family {family.id} has ended, and its access tokens.",
    )


async def _record(
    operation: Operation,
    tx: Transaction,
    event: str,
    subject: str,
    client_id: str = "",
    **details: Any,
) -> None:
    resources = operation.resources
    await resources.audit.record(
        tx,
        event,
        operation.origin,
        now=resources.clock.now(),
        subject=subject,
        client_id=client_id,
        **details,
    )
