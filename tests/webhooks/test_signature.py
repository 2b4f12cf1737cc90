"""Signatures by the Standard Webhooks specification, as others compute and verify them."""

import base64
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from authsvc.webhooks.secrets import new_secret, show_secret
from authsvc.webhooks.signature import sign


def test_the_published_example_is_signed_as_published() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1_614_265_330, UTC)

    assert sign("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [key], now=at) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_is_random_and_shown_as_libraries_take_it() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(first) == 32
    shown = show_secret(first)
    assert shown.startswith("whsec_")
    assert base64.b64decode(shown.removeprefix("whsec_"), validate=True) == first


@given(st.text().map(str.encode), st.binary(min_size=32, max_size=32))
def test_a_library_that_nobody_here_wrote_verifies_what_we_sign(body: bytes, key: bytes) -> None:
    headers = sign("id", body, [key], now=datetime.now(UTC))
    Verifier(show_secret(key)).verify(body, headers, json_parse=False)


def test_each_of_the_secrets_verifies_and_no_other() -> None:
    keys = [new_secret() for _ in range(3)]
    headers = sign("id", b"{}", keys, now=datetime.now(UTC))
    for key in keys:
        Verifier(show_secret(key)).verify(b"{}", headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(show_secret(new_secret())).verify(b"{}", headers)


def test_what_operators_are_told_to_verify_by_verifies_and_refuses() -> None:
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    (block,) = [block for block in text.split("```python\n")[1:] if "whsec_" in block]
    defined: dict[str, Any] = {}
    exec(block.partition("```")[0], defined)  # noqa: S102  # our own documentation
    is_genuine = defined["is_genuine"]
    keys = [new_secret() for _ in range(2)]
    now = datetime.now(UTC)
    headers = sign("id", b"{}", keys, now=now)

    assert all(is_genuine(show_secret(key), headers, b"{}") for key in keys)
    assert not is_genuine(show_secret(new_secret()), headers, b"{}")
    assert not is_genuine(show_secret(keys[0]), headers, b"[]")
    assert not is_genuine(show_secret(keys[0]), headers | {"webhook-id": "ie"}, b"{}")
    for minutes in (-6, 6):
        late = sign("id", b"{}", keys, now=now + timedelta(minutes=minutes))
        assert not is_genuine(show_secret(keys[0]), late, b"{}")


@pytest.mark.parametrize(
    "change",
    [{"webhook-id": "ie"}, {"webhook-timestamp": str(int(time.time()) + 30)}, {"body": "{ }"}],
)
def test_what_was_changed_on_the_way_does_not_verify(change: dict[str, str]) -> None:
    key = new_secret()
    headers = sign("id", b"{}", [key], now=datetime.now(UTC))
    body = change.get("body", "{}")
    with pytest.raises(WebhookVerificationError):
        Verifier(show_secret(key)).verify(body, headers | change)
