"""What the service runs on: opened here once, the same for the app, the CLI and tests.

Everything is passed in explicitly; there is no global state.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from authsvc.access.administration import ROLES_REGISTRY, RoleAdministration
from authsvc.access.role_graph import RoleGraph
from authsvc.clock import Clock
from authsvc.config import MASTER_KEY_PATH, ConfigError, Settings
from authsvc.identity.browser_sessions import BrowserSessions
from authsvc.identity.known_devices import KnownDevices
from authsvc.identity.login import Login
from authsvc.identity.mail_notices import MailNotices
from authsvc.identity.password_resets import PasswordResets
from authsvc.identity.passwords import PasswordHashes
from authsvc.identity.people import People
from authsvc.identity.throttle import LoginLimits, LoginThrottle
from authsvc.master_key import (
    MasterKeys,
    RootSecret,
    SealError,
    parse_master_keys,
    read_or_create_master_key,
)
from authsvc.outbound import Outbound
from authsvc.outbound.mail_server import MailServer
from authsvc.signing.audit_checkpoints import AuditCheckpoints
from authsvc.signing.audit_verification import AuditVerifier
from authsvc.signing.keyring import Keyring, load_keyring
from authsvc.signing.rotation import REGISTRY as KEYS_REGISTRY
from authsvc.signing.rotation import KeyRotation
from authsvc.storage.audit import AuditLog
from authsvc.storage.audit_chain import AuditChain
from authsvc.storage.changes import Changes
from authsvc.storage.database import Database, Transaction
from authsvc.storage.engines import open_database
from authsvc.storage.redis import RedisClient, close_redis, open_redis
from authsvc.storage.registry import Snapshot
from authsvc.storage.revocations import RevocationList
from authsvc.storage.roles import load_roles
from authsvc.storage.root_secrets import get_or_create_root_secret
from authsvc.tokens.opaque import OpaqueHash
from authsvc.tokens.revocation import Revoker
from authsvc.webhooks.administration import WebhookAdministration
from authsvc.webhooks.messages import WebhookMessages


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Everything that outlives a request."""

    settings: Settings
    clock: Clock
    database: Database
    redis: RedisClient | None
    changes: Changes
    master_keys: MasterKeys
    root: RootSecret
    opaque_hash: OpaqueHash
    audit: AuditLog
    audit_chain: AuditChain
    audit_checkpoints: AuditCheckpoints
    audit_verifier: AuditVerifier
    keyring: Snapshot[Keyring]
    key_rotation: KeyRotation
    role_graph: Snapshot[RoleGraph]
    role_administration: RoleAdministration
    revocations: RevocationList
    revoker: Revoker
    password_hashes: PasswordHashes
    sessions: BrowserSessions
    login: Login
    login_throttle: LoginThrottle
    people: People
    password_resets: PasswordResets
    outbound: Outbound
    webhooks: WebhookAdministration
    webhook_messages: WebhookMessages
    mail_server: MailServer | None


def load_master_keys(settings: Settings) -> MasterKeys:
    """Return the master keys that are set, or those of the key file; raises ConfigError."""
    if settings.master_key is not None:
        text, source = settings.master_key.get_secret_value(), "AUTHSVC_MASTER_KEY"
    else:
        text, source = read_or_create_master_key(Path(MASTER_KEY_PATH)), str(MASTER_KEY_PATH)
    try:
        return parse_master_keys(text)
    except ValueError as error:
        raise ConfigError(f"{source} holds a value that is not shown; {error}") from error


@asynccontextmanager
async def open_storage(
    settings: Settings,
    *,
    database_timeout: float | None = None,
    request_timeout: float | None = None,
) -> AsyncIterator[tuple[Database, RedisClient | None]]:
    """Open the database and Redis; ``database_timeout`` (seconds) replaces the setting.

    ``request_timeout`` (seconds) bounds what a request asks the database, all in all.
    """
    database = open_database(
        settings.database_url,
        pool_size=settings.database_pool_size,
        timeout=database_timeout or settings.database_timeout.total_seconds(),
        request_timeout=request_timeout,
    )
    redis = open_redis(settings.redis_url.get_secret_value()) if settings.redis_url else None
    try:
        yield database, redis
    finally:
        if redis is not None:
            await close_redis(redis)
        await database.close()


@asynccontextmanager
async def open_resources(
    settings: Settings, *, clock: Clock | None = None
) -> AsyncIterator[Resources]:
    """Open everything; raises ConfigError when no master key opens what is stored."""
    clock = clock or Clock()
    master_keys = load_master_keys(settings)
    async with AsyncExitStack() as stack:
        request_timeout = settings.database_request_timeout_ms / 1000
        database, redis = await stack.enter_async_context(
            open_storage(settings, request_timeout=request_timeout)
        )
        try:
            async with database.transaction() as tx:
                root = await get_or_create_root_secret(tx, master_keys, now=clock.now())
        except SealError as error:
            raise ConfigError(str(error)) from error
        outbound = _open_outbound(settings, clock)
        stack.push_async_callback(outbound.aclose)
        resources = _wire(settings, clock, master_keys, root, database, redis, outbound)
        stack.callback(resources.password_hashes.close)
        yield resources


def _wire(
    settings: Settings,
    clock: Clock,
    master_keys: MasterKeys,
    root: RootSecret,
    database: Database,
    redis: RedisClient | None,
    outbound: Outbound,
) -> Resources:
    changes = Changes(database, redis)
    audit = AuditLog(root.derive("audit"))
    audit_chain = AuditChain(root.derive("audit"))
    opaque_hash = OpaqueHash(root)
    revocations = RevocationList(database, redis, changes, clock)
    revoker = Revoker(revocations, clock, access_token_ttl=settings.access_token_ttl)
    sessions = BrowserSessions(
        opaque_hash, clock, ttl=settings.session_ttl, idle_ttl=settings.session_idle_ttl
    )
    login_throttle = LoginThrottle(database, opaque_hash, clock, _login_limits(settings))
    hashes = PasswordHashes(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        workers=settings.argon2_workers,
        queue=settings.argon2_queue,
    )
    notices = MailNotices(clock, enabled=settings.mail is not None)
    people = People(hashes, revoker, notices, audit, clock, reset_ttl=settings.password_reset_ttl)

    async def read_keyring(tx: Transaction) -> Keyring:
        return await load_keyring(tx, master_keys)

    async def read_role_graph(tx: Transaction) -> RoleGraph:
        return RoleGraph(await load_roles(tx))

    keyring = Snapshot(database, changes, KEYS_REGISTRY, read_keyring)
    return Resources(
        settings=settings,
        clock=clock,
        database=database,
        redis=redis,
        changes=changes,
        master_keys=master_keys,
        root=root,
        opaque_hash=opaque_hash,
        audit=audit,
        audit_chain=audit_chain,
        audit_checkpoints=AuditCheckpoints(
            database,
            audit_chain,
            keyring,
            clock,
            issuer=settings.issuer,
            alg=settings.signing_alg,
        ),
        audit_verifier=AuditVerifier(database, audit_chain, keyring),
        keyring=keyring,
        key_rotation=KeyRotation(
            master_keys,
            changes,
            audit,
            clock,
            jwks_max_age=settings.jwks_max_age,
            # An ID token is the hint that its session is ended by (RP-Initiated Logout §2).
            retired_ttl=max(settings.key_retired_ttl, settings.session_ttl),
        ),
        role_graph=Snapshot(database, changes, ROLES_REGISTRY, read_role_graph),
        role_administration=RoleAdministration(changes, audit, clock),
        revocations=revocations,
        revoker=revoker,
        password_hashes=hashes,
        sessions=sessions,
        login=Login(
            database,
            hashes,
            login_throttle,
            KnownDevices(root),
            sessions,
            revoker,
            audit,
            clock,
        ),
        login_throttle=login_throttle,
        people=people,
        password_resets=PasswordResets(
            database,
            root,
            opaque_hash,
            login_throttle,
            people,
            audit,
            clock,
            ttl=settings.password_reset_ttl,
        ),
        outbound=outbound,
        webhooks=WebhookAdministration(database, audit, master_keys, outbound, clock),
        webhook_messages=WebhookMessages(database, audit, master_keys, outbound, clock),
        mail_server=open_mail_server(settings),
    )


def _open_outbound(settings: Settings, clock: Clock) -> Outbound:
    try:
        return Outbound(
            loopback=settings.outbound_loopback,
            ca_file=settings.outbound_ca_file,
            timeout=settings.outbound_timeout,
            clock=clock,
            event_networks=settings.webhook_networks,
        )
    except ValueError as error:
        raise ConfigError(f"AUTHSVC_OUTBOUND_CA_FILE can not be used: {error}") from error


def open_mail_server(settings: Settings) -> MailServer | None:
    """Return the mail server, to which nothing is connected yet; None where none is set.

    Raises ValueError when the file of CA certificates can not be read.
    """
    if settings.mail is None:
        return None
    server, sender = settings.mail
    greeting = urlsplit(settings.issuer).hostname or ""
    if ":" in greeting:  # an IPv6 literal (RFC 5321 §4.1.3)
        greeting = f"[IPv6:{greeting}]"
    return MailServer(server, sender, greeting=greeting, ca_file=settings.outbound_ca_file)


def _login_limits(settings: Settings) -> LoginLimits:
    return LoginLimits(
        account=settings.login_account_attempts,
        account_everywhere=settings.login_account_attempts_everywhere,
        address=settings.login_address_attempts,
        delay=settings.login_delay,
        delay_max=settings.login_delay_max,
        delay_max_everywhere=settings.login_delay_max_everywhere,
        window=settings.login_window,
    )
