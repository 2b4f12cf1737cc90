"""``authsvc audit``: what happened, and whether the record of it is whole."""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from authsvc.cli.input import STDIN, read_text
from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_json, print_lines, print_table
from authsvc.cli.paging import read_pages
from authsvc.cli.refusal import Refused
from authsvc.signing.audit_checkpoint import AuditCheckpoint, parse_checkpoint
from authsvc.signing.audit_verification import AuditVerification
from authsvc.storage.audit import AuditEvent
from authsvc.storage.identifiers import is_id

app = typer.Typer(help="The audit log: what happened, and whether the record is whole.")

HeadOption = Annotated[
    str | None,
    typer.Option(
        metavar="HEAD",
        help="Heads that were kept elsewhere: POSITION:HEX, or a file with what `audit head` "
        "printed, a line each, or - for standard input. Also finds events that were cut off "
        "at the end since.",
    ),
]
_HEAD = re.compile(r"[0-9]{1,18}:[0-9a-f]{64}")
_UNSEEN_END = (
    "Whether events were cut off at the end shows only against a head that was kept elsewhere: "
    "keep what `authsvc audit head` prints, and give it with --head."
)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="At most so many.")] = 100,
    before: Annotated[
        str | None, typer.Option(metavar="ID", help="Only events before this one.")
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only events of this name, such as user.created."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List events, newest first."""
    if before is not None and not is_id(before):
        raise Refused("--before is the id of an event, as `authsvc audit list --json` prints it")

    async def work(operation: Operation) -> list[AuditEvent]:
        audit = operation.resources.audit
        async with operation.database.reading() as tx:
            return await read_pages(
                lambda last, size: audit.list(
                    tx, before=last.id if last else before, limit=size, event=event
                ),
                limit=limit,
            )

    events = operate(work)
    if as_json:
        print_json([_document(event) for event in events])
        return
    print_table(
        ["at", "event", "actor", "subject", "address", "details"],
        [(e.at, e.event, e.actor, e.subject, e.address, e.details) for e in events],
        empty="There are no such events.",
    )


@app.command()
def head(as_json: AsJson = False) -> None:
    """Print the signed head of the log, to be kept elsewhere.

    It is a JWS that the public JWKS verifies. `audit verify --head` tells whether the log
    still holds all that it held then.
    """

    async def work(operation: Operation) -> tuple[str, AuditCheckpoint]:
        resources = operation.resources
        text = await resources.audit_checkpoints.issue()
        return text, parse_checkpoint(text, resources.audit_chain)

    text, checkpoint = operate(work)
    if not as_json:
        print_lines(text)
        return
    print_json(
        {
            "checkpoint": text,
            "head": str(checkpoint.head),
            "position": checkpoint.head.position,
            "issuer": checkpoint.issuer,
            "issued_at": datetime.fromtimestamp(checkpoint.issued_at, UTC),
            "kid": checkpoint.kid,
        }
    )


@app.command()
def verify(
    head: HeadOption = None,
    as_json: AsJson = False,
) -> None:
    """Check that the record is whole.

    Names the first event that was changed, removed or reordered, and checks every signed
    checkpoint. That the end was cut off shows only against a head that was kept elsewhere.
    """
    kept = _read_heads(head) if head is not None else []

    async def work(operation: Operation) -> AuditVerification:
        return await operation.resources.audit_verifier.verify(kept)

    found = operate(work)
    if as_json:
        print_json({"ok": found.problem is None, **asdict(found)})
    if found.problem is not None:
        where = f"position {found.position}"
        if found.event_id is not None:
            where += f", event {found.event_id}"
        raise Refused(f"the audit log was tampered with, at {where}: {found.problem}")
    if not as_json:
        print_lines(
            f"All {found.checked} events are as they were written, "
            f"and {found.checkpoints} signed checkpoints agree.",
            f"Head: {found.head}",
            *([] if kept else [_UNSEEN_END]),
        )


def _read_heads(source: str) -> list[str]:
    """Return the heads that ``source`` holds or is; raises BadParameter, Refused."""
    if _HEAD.fullmatch(source):
        return [source]
    if source != STDIN and not Path(source).exists():
        raise typer.BadParameter("a head is POSITION:HEX, a file, or - for standard input")
    heads = read_text(source).split()
    if not heads:
        raise Refused(f"there is no head in {'standard input' if source == STDIN else source}")
    return heads


def _document(event: AuditEvent) -> dict[str, Any]:
    return {**asdict(event), "details": dict(event.details)}
