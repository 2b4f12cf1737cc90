"""``authsvc webhooks``: who is told of what happens."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import AsJson, print_document, print_json, print_lines, print_table
from authsvc.storage import outbox
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction
from authsvc.storage.webhooks import Webhook, load_living_secrets, load_webhooks
from authsvc.webhooks.administration import IssuedSecret, WebhookAdministration
from authsvc.webhooks.events import EVENTS
from authsvc.webhooks.messages import WEBHOOK
from authsvc.webhooks.urls import mask_query

app = typer.Typer(help="Webhooks: who is told of what happens.")

WebhookArgument = Annotated[
    str, typer.Argument(metavar="WEBHOOK_ID", help="The webhook's identifier.")
]
_EVENT = "An event, all of a kind as user.*, or *; repeat for more."
_Change = Callable[[WebhookAdministration, Transaction, Origin], Awaitable[Webhook]]


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are posted.")],
    event: Annotated[
        list[str] | None, typer.Option(metavar="EVENT", help=f"{_EVENT} Without any: *")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a receiver of events; prints its secret once."""

    async def work(operation: Operation) -> IssuedSecret:
        async with operation.database.transaction() as tx:
            return await operation.resources.webhooks.create(tx, url, event or (), operation.origin)

    _tell_secret(operate(work), as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List webhooks, the oldest first."""

    async def work(operation: Operation) -> list[Webhook]:
        async with operation.database.reading() as tx:
            return await load_webhooks(tx)

    documents = [_document(webhook) for webhook in operate(work)]
    if as_json:
        print_json(documents)
        return
    print_table(
        ["id", "url", "events", "enabled", "created_at"],
        [list(document.values()) for document in documents],
        empty="There are no webhooks yet: authsvc webhooks create --help",
    )


@app.command()
def show(webhook_id: WebhookArgument, as_json: AsJson = False) -> None:
    """Show a webhook, what waits for it, and until when its secrets sign."""

    async def work(operation: Operation) -> dict[str, Any]:
        now = operation.resources.clock.now()
        async with operation.database.reading() as tx:
            webhook = await operation.resources.webhooks.get(tx, webhook_id)
            secrets = await load_living_secrets(tx, webhook_id, now=now)
            waiting, dead = [
                await outbox.count_by(tx, WEBHOOK, "webhook_id", dead=is_dead, value=webhook_id)
                for is_dead in (False, True)
            ]
        return {
            **_document(webhook),
            "secrets": [
                {"created_at": secret.created_at, "expires_at": secret.expires_at}
                for secret in secrets
            ],
            "waiting": waiting.get(webhook_id, 0),
            "dead": dead.get(webhook_id, 0),
        }

    print_document(operate(work), as_json=as_json)


@app.command()
def update(
    webhook_id: WebhookArgument,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where events are posted, waiting ones too.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option(metavar="EVENT", help=f"{_EVENT} They replace the old.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change where events are posted, or which."""
    if url is None and not event:
        raise typer.BadParameter("name a --url, or an --event")
    _change(
        lambda webhooks, tx, origin: webhooks.update(
            tx, webhook_id, origin, url=url, events=event or ()
        ),
        as_json=as_json,
    )


@app.command()
def enable(webhook_id: WebhookArgument, as_json: AsJson = False) -> None:
    """Tell a webhook of events again. Safe to repeat."""
    _change(lambda webhooks, tx, origin: webhooks.enable(tx, webhook_id, origin), as_json=as_json)


@app.command()
def disable(webhook_id: WebhookArgument, as_json: AsJson = False) -> None:
    """Tell a webhook nothing any more; what waits is given up. Safe to repeat."""
    _change(lambda webhooks, tx, origin: webhooks.disable(tx, webhook_id, origin), as_json=as_json)


@app.command("rotate-secret")
def rotate_secret(webhook_id: WebhookArgument, as_json: AsJson = False) -> None:
    """Give a webhook a new secret, printed this once; for a day the old one signs, too."""

    async def work(operation: Operation) -> IssuedSecret:
        async with operation.database.transaction() as tx:
            return await operation.resources.webhooks.rotate_secret(
                tx, webhook_id, operation.origin
            )

    _tell_secret(operate(work), as_json=as_json)


@app.command()
def delete(webhook_id: WebhookArgument, as_json: AsJson = False) -> None:
    """Delete a webhook, and what waits for it or was given up."""

    async def work(operation: Operation) -> int:
        webhooks = operation.resources.webhooks
        async with operation.database.transaction() as tx:
            await webhooks.delete(tx, webhook_id, operation.origin)
        return await webhooks.discard_entries(webhook_id)

    discarded = operate(work)
    document = {"id": webhook_id, "deleted": True, "discarded": discarded}
    print_document(document, as_json=as_json)


@app.command()
def events(as_json: AsJson = False) -> None:
    """List every event that there is."""
    if as_json:
        print_json([{"event": event, "meaning": meaning} for event, meaning in EVENTS.items()])
    else:
        print_table(["event", "meaning"], list(EVENTS.items()), empty="")


def _document(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": mask_query(webhook.url),
        "events": list(webhook.events),
        "enabled": webhook.disabled_at is None,
        "created_at": webhook.created_at,
    }


def _change(change: _Change, *, as_json: bool) -> None:
    async def work(operation: Operation) -> Webhook:
        async with operation.database.transaction() as tx:
            return await change(operation.resources.webhooks, tx, operation.origin)

    print_document(_document(operate(work)), as_json=as_json)


def _tell_secret(issued: IssuedSecret, *, as_json: bool) -> None:
    print_document({**_document(issued.webhook), "secret": issued.secret}, as_json=as_json)
    if not as_json:
        print_lines("Keep the secret now: it is stored encrypted and never shown again.")
