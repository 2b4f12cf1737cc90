"""``authsvc audit``: what happened, and whether the record of it is whole."""

import hmac
import re
from dataclasses import asdict
from typing import Annotated, Any

import typer

from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_json, print_lines, print_table
from authsvc.cli.paging import read_pages
from authsvc.cli.refusal import Refused
from authsvc.storage.audit import AuditEvent, AuditFinding
from authsvc.storage.identifiers import is_id

app = typer.Typer(help="The audit log: what happened, and whether the record is whole.")

HeadOption = Annotated[
    str | None,
    typer.Option(
        metavar="POSITION:HEX",
        help="A head that this command printed before: also finds events that were cut "
        "off at the end since.",
    ),
]
_HEAD = re.compile(r"[0-9]{1,18}:[0-9a-f]{64}")


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
def verify(
    head: HeadOption = None,
    as_json: AsJson = False,
) -> None:
    """Check that the record is whole.

    Names the first event that was changed, removed or reordered.

    Keep the head that is printed in another place, and give it the next time.
    """
    if head is not None and not _HEAD.fullmatch(head):
        raise typer.BadParameter("a head is POSITION:HEX, as this command prints it")

    async def work(operation: Operation) -> dict[str, Any]:
        audit = operation.resources.audit
        async with operation.database.transaction() as tx:
            finding = await audit.verify(tx)
            problem = finding.problem
            if problem is None and head is not None:
                found = await audit.find_head_at(tx, int(head.partition(":")[0]))
                problem = _compare(found, head)
        return _finding_document(finding, problem)

    document = operate(work)
    if as_json:
        print_json(document)
    if not document["ok"]:
        where = document["event_id"] or f"position {document['checked']}"
        raise Refused(f"the audit log was tampered with, at {where}: {document['problem']}")
    if not as_json:
        print_lines(
            f"All {document['checked']} events are as they were written.",
            f"Head: {document['head']}",
        )


def _compare(found: str | None, head: str) -> str | None:
    if found is None:
        return "the log ends before the head that was given: events were removed"
    if not hmac.compare_digest(found, head):
        return "the log is another one than that of the head that was given"
    return None


def _document(event: AuditEvent) -> dict[str, Any]:
    return {**asdict(event), "details": dict(event.details)}


def _finding_document(finding: AuditFinding, problem: str | None) -> dict[str, Any]:
    return {
        "ok": problem is None,
        "checked": finding.checked,
        "head": finding.head,
        "event_id": finding.event_id,
        "problem": problem,
    }
