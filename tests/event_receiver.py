"""A receiver of webhooks on loopback, which verifies with a library that nobody here wrote."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Table, func, select
from standardwebhooks.webhooks import Webhook as Verifier

from authsvc.webhooks.administration import IssuedSecret
from tests.provider import ORIGIN, Provider
from tests.web_servers import Answer, ReceivedRequest, WebServer, open_web_server

NETWORKS = "127.0.0.0/8,::1/128"


@dataclass(frozen=True)
class Message:
    """A message as it arrived."""

    request: ReceivedRequest

    @property
    def id(self) -> str:
        """What a receiver knows a repetition by."""
        return self.request.headers["webhook-id"]

    @property
    def sent_at(self) -> datetime:
        """When it was sent, by its header."""
        return datetime.fromtimestamp(int(self.request.headers["webhook-timestamp"]), UTC)

    @property
    def signatures(self) -> list[str]:
        """The signatures, the newest secret's first."""
        return self.request.headers["webhook-signature"].split(" ")

    @property
    def event(self) -> dict[str, Any]:
        """What it says."""
        told: dict[str, Any] = orjson.loads(self.request.body)
        return told

    def is_signed_by(self, secret: str) -> bool:
        """Tell whether one of its signatures is by ``secret``, by the library's computation."""
        expected = Verifier(secret).sign(self.id, self.sent_at, self.request.body.decode())
        return expected in self.signatures


@dataclass
class EventReceiver:
    """Keeps the messages that it gets, and answers with ``status``."""

    web: WebServer
    path: str
    status: int = 204
    received: list[Message] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """What an operator registers."""
        return f"{self.web.url}{self.path}"

    async def answer(self, request: ReceivedRequest) -> Answer:
        """Take a message, and answer once it is let."""
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/json"
        self.received.append(Message(request))
        self.asked.set()
        await self.may_answer.wait()
        return Answer(self.status)

    def take(self) -> Message:
        """Return the one message that was received."""
        (message,) = self.received
        self.received.clear()
        return message

    async def register(self, provider: Provider, *events: str) -> IssuedSecret:
        """Have it told of ``events``."""
        return await create_webhook(provider, self.url, *events)


async def create_webhook(provider: Provider, url: str, *events: str) -> IssuedSecret:
    """Register a receiver of ``events``."""
    async with provider.resources.database.transaction() as tx:
        return await provider.resources.webhooks.create(tx, url, events, ORIGIN)


async def change_webhook(provider: Provider, change: str, *arguments: Any, **named: Any) -> Any:
    """Call a method of the administration in a transaction of its own."""
    async with provider.resources.database.transaction() as tx:
        method = getattr(provider.resources.webhooks, change)
        return await method(tx, *arguments, ORIGIN, **named)


async def record_event(provider: Provider, event: str = "user.created", **facts: Any) -> None:
    """Write an event to the audit log, in a transaction of its own."""
    async with provider.resources.database.transaction() as tx:
        await provider.resources.audit.record(tx, event, ORIGIN, now=provider.clock.now(), **facts)


async def count_rows(provider: Provider, table: Table) -> int:
    """Return how many rows there are in a table."""
    async with provider.resources.database.reading() as tx:
        rows = await tx.execute(select(func.count()).select_from(table))
        number: int = rows.scalar_one()
        return number


def open_receivers(web: WebServer, paths: Sequence[str]) -> list[EventReceiver]:
    """Have receivers answer at ``paths`` of one server."""
    receivers = [EventReceiver(web, path) for path in paths]
    for receiver in receivers:
        receiver.may_answer.set()
        web.handle(receiver.path, receiver.answer)
    return receivers


@asynccontextmanager
async def open_event_receiver() -> AsyncIterator[EventReceiver]:
    """Run one, over https."""
    async with open_web_server() as web:
        (receiver,) = open_receivers(web, ["/events"])
        yield receiver
