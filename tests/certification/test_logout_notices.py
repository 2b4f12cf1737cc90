"""Front-Channel and Back-Channel Logout OP: every client of the session hears of its end."""

import html
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from authsvc.jobs.deliver_outbox import deliver_outbox
from tests.certification.session import AFTER, begin_session, check_error_page
from tests.certification.suite import Suite
from tests.notice_receiver import NoticeReceiver, open_notice_receiver
from tests.provider import claims_of, header_of

SECOND = "https://second.example/callback"


async def test_every_client_of_the_session_is_framed_with_issuer_and_sid(suite: Suite) -> None:
    session = await begin_session(
        suite,
        frontchannel_logout_uri="https://rp.example/frontchannel?tenant=1",
        frontchannel_logout_session_required=True,
    )
    second = await suite.register(
        redirect_uris=[SECOND], frontchannel_logout_uri="https://second.example/frontchannel"
    )
    await second.sign_in(session.browser)
    sid = session.signed_in.claims["sid"]
    assert isinstance(sid, str)

    page = await session.log_out(
        id_token_hint=session.signed_in.id_token, post_logout_redirect_uri=AFTER, state="s"
    )

    frames = [html.unescape(uri) for uri in re.findall(r'<iframe src="([^"]+)"', page.text)]
    assert [uri.partition("?")[0] for uri in sorted(frames)] == [
        "https://rp.example/frontchannel",
        "https://second.example/frontchannel",
    ]
    query = dict(parse_qsl(urlsplit(min(frames)).query))
    assert query == {"tenant": "1", "iss": suite.issuer, "sid": sid}
    assert f"{AFTER}?state=s" in html.unescape(page.text)
    assert "https://rp.example" in page.headers["content-security-policy"]
    assert await session.is_over()


async def test_a_frontchannel_uri_of_another_origin_is_refused(suite: Suite) -> None:
    for uri in ("https://another.example/frontchannel", "http://rp.example/frontchannel"):
        await suite.refuse_registration("invalid_client_metadata", frontchannel_logout_uri=uri)


@pytest.fixture
async def receiver() -> AsyncIterator[NoticeReceiver]:
    """The logout endpoint of a client."""
    async with open_notice_receiver() as running:
        yield running


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
async def test_a_logout_token_tells_the_client_what_has_ended(
    receiver: NoticeReceiver, suite: Suite, alg: str
) -> None:
    session = await begin_session(
        suite,
        backchannel_logout_uri=receiver.uri,
        backchannel_logout_session_required=True,
        id_token_signed_response_alg=alg,
    )

    await session.log_out(
        id_token_hint=session.signed_in.id_token, post_logout_redirect_uri=AFTER, state="s"
    )
    await deliver_outbox(suite.provider.server)

    assert session.browser.left_for == f"{AFTER}?state=s"
    token = receiver.take()
    assert header_of(token)["typ"] == "logout+jwt"
    assert header_of(token)["alg"] == alg
    claims, signed_in = await suite.verify(token), session.signed_in.claims
    assert claims["iss"] == suite.issuer
    assert claims["aud"] in (session.client.client_id, [session.client.client_id])
    assert (claims["sub"], claims["sid"]) == (signed_in["sub"], signed_in["sid"])
    assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert claims["jti"]
    assert isinstance(claims["iat"], int)
    assert suite.now() < claims["exp"] <= suite.now() + 120
    assert "nonce" not in claims
    # It must not pass for an ID token (Back-Channel Logout §2.4).
    page = await session.log_out(id_token_hint=token, post_logout_redirect_uri=AFTER)
    check_error_page(session, page)


async def test_clients_that_were_not_used_in_the_session_hear_nothing(
    receiver: NoticeReceiver, suite: Suite
) -> None:
    session = await begin_session(suite)
    elsewhere = await suite.register(backchannel_logout_uri=receiver.uri)
    await elsewhere.sign_in()

    await session.log_out(id_token_hint=session.signed_in.id_token)
    await deliver_outbox(suite.provider.server)

    assert receiver.received.empty()


async def test_a_logout_without_a_hint_tells_the_clients_too(
    receiver: NoticeReceiver, suite: Suite
) -> None:
    session = await begin_session(suite, backchannel_logout_uri=receiver.uri)
    page = await session.log_out()
    await session.browser.submit(page, {}, button="#logout-confirm")
    await deliver_outbox(suite.provider.server)
    assert claims_of(receiver.take())["sub"] == session.signed_in.claims["sub"]
