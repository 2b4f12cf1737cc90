"""The doctor's check of webhooks: whether they can sign, and whether they are heard."""

from authsvc.cli.checks import REWRAP, Finding
from authsvc.master_key import MasterKeys, SealError
from authsvc.storage import outbox
from authsvc.storage.database import Database
from authsvc.storage.webhooks import Webhook, WebhookSecret, load_secrets, load_webhooks
from authsvc.webhooks.messages import WEBHOOK
from authsvc.webhooks.secrets import open_secret


async def check_webhooks(
    database: Database, every: MasterKeys | None, newest: MasterKeys | None
) -> list[Finding]:
    """Return whether secrets open, and what was given up for which webhook; nothing without any.

    The keys are None where none could be read, which is a finding of its own.
    """
    async with database.reading() as tx:
        webhooks, secrets = await load_webhooks(tx), await load_secrets(tx)
        dead = await outbox.count_by(tx, WEBHOOK, "webhook_id", dead=True)
    findings = []
    if every is not None and newest is not None:
        findings += _check_secrets(secrets, every, newest)
    findings += [
        Finding(
            "webhooks",
            "warning",
            f"events that were given up for the webhook {webhook.id}: {dead[webhook.id]}",
            "`authsvc jobs list` says why. Mend the receiver, then `authsvc jobs retry --all`; "
            "or disable or delete the webhook.",
        )
        for webhook in webhooks
        if webhook.id in dead
    ]
    return findings or _summarize(webhooks)


def _check_secrets(
    secrets: list[WebhookSecret], every: MasterKeys, newest: MasterKeys
) -> list[Finding]:
    findings = []
    closed = {secret.webhook_id for secret in secrets if not _opens(secret, every)}
    for webhook_id in sorted(closed):
        text = f"no master key opens a secret of the webhook {webhook_id}: it signs nothing"
        advice = "Name the old master key as well and rewrap, or make the webhook anew."
        findings.append(Finding("webhooks", "error", text, advice))
    older = sum(not newest.is_newest(secret.secret_sealed) for secret in secrets)
    if older and not closed:
        text = f"{older} secrets of webhooks are under an older one"
        findings.append(Finding("master key", "warning", text, REWRAP))
    return findings


def _opens(secret: WebhookSecret, keys: MasterKeys) -> bool:
    try:
        open_secret(keys, secret.secret_sealed)
    except SealError:
        return False
    return True


def _summarize(webhooks: list[Webhook]) -> list[Finding]:
    if not webhooks:
        return []
    disabled = sum(webhook.disabled_at is not None for webhook in webhooks)
    return [Finding("webhooks", "ok", f"{len(webhooks)}, of them {disabled} disabled")]
