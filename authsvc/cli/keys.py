"""``authsvc keys``: the signing keys and their rotation."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeVar

import orjson
import typer

from authsvc.cli.input import RANDOM_ARGUMENT, read_bytes
from authsvc.cli.key_revocation import explain_revocation, revocation_document
from authsvc.cli.operation import Operation, operate
from authsvc.cli.output import (
    AsJson,
    print_document,
    print_json,
    print_lines,
    print_table,
    readable,
)
from authsvc.cli.refusal import Refused
from authsvc.signing.rotation import KeyRotation, Rotation
from authsvc.storage.audit import Origin
from authsvc.storage.database import Transaction
from authsvc.storage.refresh_tokens import count_living_families
from authsvc.storage.root_secrets import reseal_root_secret
from authsvc.storage.signing_keys import SigningKeyRow, load_signing_keys

app = typer.Typer(help="Signing keys: next, active, retired, revoked.")

T = TypeVar("T")

KidArgument = Annotated[str, typer.Argument(metavar="KID", help="The key's kid.")]
AlgOption = Annotated[
    Literal["ES256", "RS256", "PS256", "EdDSA"],
    typer.Option(metavar="ALG", help="ES256, RS256, PS256 or EdDSA."),
]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List keys, oldest first."""

    async def work(operation: Operation) -> list[SigningKeyRow]:
        async with operation.database.reading() as tx:
            return await load_signing_keys(tx)

    keys = operate(work)
    if as_json:
        print_json([key_document(key) for key in keys])
        return
    print_table(
        ["kid", "alg", "state", "since"],
        [
            (k.kid, k.alg, k.state, k.revoked_at or k.retired_at or k.activated_at or k.created_at)
            for k in keys
        ],
        empty="There are no keys yet: authsvc db upgrade makes the first ones",
    )


@app.command()
def rotate(as_json: AsJson = False) -> None:
    """Let the next keys sign.

    An algorithm whose next key was not published for long enough has to wait: clients
    must have learnt of a key before it signs.
    """

    async def change(rotation: KeyRotation, tx: Transaction, origin: Origin) -> list[Rotation]:
        return await rotation.rotate(tx, origin)

    outcomes = _change(change)
    if not outcomes:
        raise Refused("there are no keys yet: `authsvc db upgrade` makes the first ones")
    if as_json:
        print_json([_rotation_document(outcome) for outcome in outcomes])
    else:
        print_lines(*(_describe_rotation(outcome) for outcome in outcomes))


@app.command()
def generate(alg: AlgOption, as_json: AsJson = False) -> None:
    """Publish one more next key."""

    async def change(rotation: KeyRotation, tx: Transaction, origin: Origin) -> SigningKeyRow:
        return await _find(tx, await rotation.generate(tx, alg, origin))

    print_document(key_document(_change(change)), as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Private key in PEM form; - is standard input.")
    ],
    alg: AlgOption,
    as_json: AsJson = False,
) -> None:
    """Publish a key of your own as a next key."""
    pem = read_bytes(file)

    async def change(rotation: KeyRotation, tx: Transaction, origin: Origin) -> SigningKeyRow:
        return await _find(tx, await rotation.import_key(tx, pem, alg, origin))

    print_document(key_document(_change(change)), as_json=as_json)


@app.command(context_settings=RANDOM_ARGUMENT)
def retire(kid: KidArgument, as_json: AsJson = False) -> None:
    """Let a key sign no more.

    What it has signed stays valid. The next key of the algorithm takes its place.
    """

    async def change(rotation: KeyRotation, tx: Transaction, origin: Origin) -> SigningKeyRow:
        return await rotation.retire(tx, kid, origin)

    print_document(key_document(_change(change)), as_json=as_json)


@app.command(context_settings=RANDOM_ARGUMENT)
def revoke(kid: KidArgument, as_json: AsJson = False) -> None:
    """Revoke a key that was compromised.

    Everything it has signed is invalid at once; says what that is. Safe to repeat.
    """

    async def work(operation: Operation) -> dict[str, Any]:
        resources = operation.resources
        async with operation.database.transaction() as tx:
            key = await resources.key_rotation.revoke(tx, kid, operation.origin)
            keys = await load_signing_keys(tx)
            families = await count_living_families(tx, now=resources.clock.now())
        return {
            **key_document(key),
            **revocation_document(key, keys, resources.settings, living_families=families),
        }

    document = operate(work)
    if as_json:
        print_json(document)
    else:
        print_lines(*explain_revocation(document))


@app.command()
def jwks(as_json: AsJson = False) -> None:
    """Print the JWKS that clients see."""

    async def work(operation: Operation) -> bytes:
        return (await operation.resources.keyring.get()).jwks

    del as_json
    print_json(orjson.loads(operate(work)))


@app.command()
def rewrap(as_json: AsJson = False) -> None:
    """Encrypt all under the newest master key.

    To rotate the master key: put the new one before the old in AUTHSVC_MASTER_KEY,
    restart every server, run this, then remove the old one.
    """

    async def work(operation: Operation) -> dict[str, int]:
        resources = operation.resources
        async with operation.database.transaction() as tx:
            return {
                "signing_keys": await resources.key_rotation.reseal(tx, operation.origin),
                "root_secrets": await reseal_root_secret(tx, resources.master_keys),
                "client_secrets": await operation.server.client_secrets.reseal(tx),
                "webhook_secrets": await resources.webhooks.reseal(tx),
            }

    changed = operate(work)
    if as_json:
        print_json(changed)
    elif any(changed.values()):
        print_lines(
            f"{changed['signing_keys']} signing keys, {changed['root_secrets']} root secret, "
            f"{changed['client_secrets']} client secrets and {changed['webhook_secrets']} webhook "
            "secrets are now under the newest master key."
        )
    else:
        print_lines("Everything was under the newest master key already.")


def key_document(key: SigningKeyRow) -> dict[str, Any]:
    """Return the key as JSON; no part of the private key is in it."""
    return {
        "kid": key.kid,
        "alg": key.alg,
        "state": key.state,
        "created_at": key.created_at,
        "usable_at": key.usable_at,
        "activated_at": key.activated_at,
        "retired_at": key.retired_at,
        "revoked_at": key.revoked_at,
    }


def _change(change: Callable[[KeyRotation, Transaction, Origin], Awaitable[T]]) -> T:
    async def work(operation: Operation) -> T:
        async with operation.database.transaction() as tx:
            return await change(operation.resources.key_rotation, tx, operation.origin)

    return operate(work)


async def _find(tx: Transaction, kid: str) -> SigningKeyRow:
    return next(key for key in await load_signing_keys(tx) if key.kid == kid)


def _rotation_document(outcome: Rotation) -> dict[str, Any]:
    return {
        "alg": outcome.alg,
        "retired": outcome.retired,
        "active": outcome.active,
        "next_usable_at": outcome.next_usable_at,
    }


def _describe_rotation(outcome: Rotation) -> str:
    usable = readable(outcome.next_usable_at)
    if outcome.active is None:
        return f"{outcome.alg}: too early, the next key may sign from {usable} on."
    before = f", {outcome.retired} is retired" if outcome.retired else ""
    return f"{outcome.alg}: {outcome.active} signs now{before}; the next key may from {usable} on."
