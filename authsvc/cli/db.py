"""``authsvc db``: the schema and its migrations."""

from typing import Annotated

import typer

from authsvc.cli.migration import HEAD, Migration, migrate_down, migrate_up
from authsvc.cli.operation import find_revision, prepare, reach, run
from authsvc.cli.output import AsJson, print_json, print_lines
from authsvc.cli.refusal import Refused
from authsvc.resources import open_storage
from authsvc.storage.migrations import find_differences
from authsvc.storage.revisions import newest_revision

app = typer.Typer(help="The database's schema.")


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(metavar="REV", help="Revision to end at.")] = HEAD,
    as_json: AsJson = False,
) -> None:
    """Migrate up.

    At the newest revision, makes the first signing keys where there are none.
    """
    _tell(run(migrate_up(prepare(), revision)), as_json=as_json)


@app.command()
def downgrade(
    revision: Annotated[
        str, typer.Argument(metavar="REV", help="Revision to end at; base is before the first.")
    ],
    as_json: AsJson = False,
) -> None:
    """Migrate down.

    What the newer schema alone can hold is lost.
    """
    _tell(run(migrate_down(prepare(), revision)), as_json=as_json)


@app.command()
def current(as_json: AsJson = False) -> None:
    """Show which revision the schema is at."""
    revision, newest = run(find_revision(prepare())), newest_revision()
    if as_json:
        print_json({"revision": revision, "newest": newest, "up_to_date": revision == newest})
    elif revision == newest:
        print_lines(f"The database is at {revision}, the newest revision.")
    else:
        print_lines(_describe_mismatch(revision, []).capitalize() + ".")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Check the schema against the models.

    It must be at the newest revision and be what the models say.
    """
    settings = prepare()

    async def work() -> tuple[str | None, list[str]]:
        revision = await find_revision(settings)
        if revision != newest_revision():
            return revision, []
        async with open_storage(settings) as (database, _):
            return revision, await reach(find_differences(database))

    revision, differences = run(work())
    newest = newest_revision()
    matches = revision == newest and not differences
    if as_json:
        print_json(
            {"ok": matches, "revision": revision, "newest": newest, "differences": differences}
        )
    if not matches:
        raise Refused(_describe_mismatch(revision, differences))
    if not as_json:
        print_lines(f"The database is at {newest} and agrees with the models.")


def _describe_mismatch(revision: str | None, differences: list[str]) -> str:
    if revision is None:
        return "the database has no tables yet: run `authsvc db upgrade`"
    if differences:
        return f"the schema differs from the models: {'; '.join(differences)}"
    return (
        f"the database is at revision {revision}, the newest here is {newest_revision()}: "
        "run `authsvc db upgrade`"
    )


def _tell(migration: Migration, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "from": migration.before,
                "to": migration.after,
                "signing_keys": migration.signing_keys,
            }
        )
        return
    print_lines(str(migration))
    if migration.signing_keys:
        print_lines(f"Made the first {len(migration.signing_keys)} signing keys.")
