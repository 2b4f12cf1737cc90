"""RP-Initiated Logout OP: every way of asking for it, and where it leads."""

from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.certification.relying_party import STATE
from tests.certification.session import AFTER, Session, begin_session, check_error_page
from tests.certification.suite import Suite


@pytest.fixture
async def session(suite: Suite) -> Session:
    """A session of a client that registered where to go after logout."""
    return await begin_session(suite)


@pytest.mark.parametrize("response_type", ["code", "id_token", "code id_token token"])
@pytest.mark.parametrize("post", [False, True])
async def test_a_hint_ends_the_session_and_leads_back_with_the_state(
    suite: Suite, response_type: str, post: bool
) -> None:
    session = await begin_session(suite, response_type)

    await session.log_out(
        post=post,
        id_token_hint=session.signed_in.id_token,
        post_logout_redirect_uri=AFTER,
        state=STATE,
    )

    assert session.browser.left_for is not None
    location, _, query = session.browser.left_for.partition("?")
    assert location == AFTER
    assert parse_qsl(query, strict_parsing=True) == [("state", STATE)]
    assert await session.is_over()


async def test_a_hint_with_a_pairwise_subject_is_a_hint(suite: Suite) -> None:
    session = await begin_session(suite, subject_type="pairwise")
    await session.log_out(id_token_hint=session.signed_in.id_token, post_logout_redirect_uri=AFTER)
    assert session.browser.left_for == AFTER
    assert await session.is_over()


async def test_a_hint_of_another_person_does_not_sign_this_one_out_unasked(suite: Suite) -> None:
    theirs = await begin_session(suite)
    suite.person = await suite.provider.create_user()
    session = await begin_session(suite)
    page = await session.log_out(
        id_token_hint=theirs.signed_in.id_token, post_logout_redirect_uri=AFTER
    )
    assert page.has("#logout-confirm")
    assert not await session.is_over()


async def test_no_state_comes_back_when_none_was_sent(session: Session) -> None:
    await session.log_out(id_token_hint=session.signed_in.id_token, post_logout_redirect_uri=AFTER)
    assert session.browser.left_for == AFTER
    assert await session.is_over()


async def test_an_expired_hint_is_still_a_hint(session: Session) -> None:
    session.suite.provider.clock.move(hours=2)
    await session.log_out(id_token_hint=session.signed_in.id_token, post_logout_redirect_uri=AFTER)
    assert session.browser.left_for == AFTER


@pytest.mark.parametrize(
    "uri",
    ["https://rp.example/elsewhere", f"{AFTER}?foo=bar", f"{AFTER}/", "https://evil.example/"],
)
async def test_a_redirect_that_is_not_registered_is_an_error_page(
    session: Session, uri: str
) -> None:
    page = await session.log_out(
        id_token_hint=session.signed_in.id_token, post_logout_redirect_uri=uri, state=STATE
    )
    check_error_page(session, page)


async def test_a_hint_that_is_none_or_was_changed_never_redirects(session: Session) -> None:
    header, payload, signature = session.signed_in.id_token.split(".")
    changed = f"{payload[:-4]}{'A' * 4}"
    for hint in ("nonsense", f"{header}.{changed}.{signature}", f"{header}.{payload}.", "a.b.c"):
        page = await session.log_out(
            id_token_hint=hint, post_logout_redirect_uri=AFTER, state=STATE
        )
        check_error_page(session, page)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"state": STATE}, {"post_logout_redirect_uri": AFTER, "state": STATE}],
)
async def test_without_a_hint_the_person_is_asked_signed_out_and_sent_nowhere(
    session: Session, parameters: dict[str, Any]
) -> None:
    page = await session.log_out(**parameters)
    assert page.status == 200
    assert not await session.is_over()

    page = await session.browser.submit(page, {}, button="#logout-confirm")

    assert (page.status, session.browser.left_for) == (200, None)
    assert await session.is_over()


async def test_a_hint_without_a_redirect_ends_on_a_page(session: Session) -> None:
    page = await session.log_out(id_token_hint=session.signed_in.id_token, state=STATE)
    assert (page.status, session.browser.left_for) == (200, None)
    assert "signed out" in page.text
    assert await session.is_over()


async def test_a_client_id_that_is_not_the_hints_is_an_error_page(session: Session) -> None:
    other = await session.suite.register(post_logout_redirect_uris=[AFTER])
    page = await session.log_out(
        id_token_hint=session.signed_in.id_token,
        client_id=other.client_id,
        post_logout_redirect_uri=AFTER,
    )
    check_error_page(session, page)


async def test_a_client_id_may_stand_for_the_hint_once_the_person_agrees(
    session: Session,
) -> None:
    page = await session.log_out(
        client_id=session.client.client_id, post_logout_redirect_uri=AFTER, state=STATE
    )
    assert page.has("#logout-confirm")
    await session.browser.submit(page, {}, button="#logout-confirm")
    assert str(session.browser.left_for).startswith(f"{AFTER}?state=")
    assert await session.is_over()
