"""Session Management OP: what a client's page learns from the provider's frame."""

import hashlib
import re

import pytest

from tests.certification.session import Session, begin_session
from tests.certification.suite import Suite


@pytest.mark.parametrize("response_type", ["code", "id_token", "code id_token"])
async def test_the_session_state_holds_until_the_session_ends(
    suite: Suite, response_type: str
) -> None:
    session = await begin_session(suite, response_type)
    state = session.signed_in.answer["session_state"]
    assert _is_unchanged(session, state)

    again = await session.client.authorize(session.browser, prompt="none")
    assert _is_unchanged(session, again["session_state"])
    await session.log_out(id_token_hint=session.signed_in.id_token)

    assert not _is_unchanged(session, state)
    assert await session.is_over()


async def test_the_session_state_changes_with_the_person(suite: Suite) -> None:
    session = await begin_session(suite)
    state = session.signed_in.answer["session_state"]
    session.suite.person = await session.suite.provider.create_user()
    answer = await session.client.authorize(session.browser, prompt="login")
    assert answer.error is None
    assert not _is_unchanged(session, state)
    assert _is_unchanged(session, answer["session_state"])


async def test_the_check_session_frame_may_be_framed_by_any_client(suite: Suite) -> None:
    response = await suite.http.get(suite.metadata["check_session_iframe"])
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "x-frame-options" not in response.headers
    assert "frame-ancestors 'none'" not in response.headers.get("content-security-policy", "")
    script = re.search(r'<script src="([^"]+)"', response.text)
    assert script is not None
    served = await suite.http.get(script[1])
    assert "javascript" in served.headers["content-type"]
    assert "postMessage" in served.text


def _is_unchanged(session: Session, session_state: str) -> bool:
    """Do what the frame does, with what its script can read (Session Management §3.2)."""
    assert " " not in session_state
    given, _, salt = session_state.partition(".")
    state = session.browser.http.cookies.get("__Host-authsvc_browser_state") or ""
    message = f"{session.client.client_id} https://rp.example {state} {salt}"
    return given == hashlib.sha256(message.encode()).hexdigest()
