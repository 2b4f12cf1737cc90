"""Front-Channel Logout 1.0: a page frames each client of the session that has just ended."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authsvc.oauth import end_session
from tests.browser import Browser, Page
from tests.provider import ORIGIN, REDIRECT_URI, Account, Provider, claims_of

AFTER = "https://app.example/signed-out"
FRAME = "https://app.example/fc"


class _Frames(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.continues_at: str | None = None
        self.refresh: str | None = None
        self.scripts: list[str] = []
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "iframe":
            assert "hidden" in given
            # A frame may do its own work and never lead this page elsewhere.
            assert given["sandbox"] == "allow-scripts allow-same-origin allow-forms"
            self.sources.append(given["src"] or "")
        elif given.get("id") == "logout-continue":
            self.continues_at = given["href"]
        elif given.get("http-equiv") == "refresh":
            self.refresh = given["content"]
        elif tag == "script":
            self.scripts.append(given["src"] or "")


def frame_sources(page: Page) -> set[str]:
    """Return the origins that the page's policy lets it frame."""
    directives = page.headers["content-security-policy"].split("; ")
    return {source for d in directives if d.startswith("frame-src ") for source in d.split(" ")[1:]}


async def signed_in(provider: Provider, **metadata: Any) -> tuple[Account, Browser, dict[str, Any]]:
    """Sign a new person in to a client."""
    client = await provider.create_client(post_logout_redirect_uris=[AFTER], **metadata)
    account, browser = await provider.create_user(), provider.browser()
    return account, browser, await provider.sign_in(client, account, browser)


async def test_the_clients_of_the_session_are_framed_and_then_the_way_goes_on(
    provider: Provider,
) -> None:
    account, browser, tokens = await signed_in(provider, frontchannel_logout_uri=FRAME)
    second = await provider.create_client(
        redirect_uris=["https://app.example/callback", "https://b.example:8443/cb"],
        frontchannel_logout_uri="https://b.example:8443/fc?tenant=1&x=%20y",
        frontchannel_logout_session_required=True,
    )
    await provider.sign_in(second, account, browser)
    await provider.sign_in(await provider.create_client(), account, browser)
    elsewhere = await provider.create_client(frontchannel_logout_uri="https://app.example/other")
    await provider.sign_in(elsewhere, account)

    page = await browser.get(
        "/logout",
        {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER, "state": "a b&c"},
    )

    assert page.status == 200
    frames = _Frames(page)
    plain, with_session = sorted(frames.sources)
    assert plain == FRAME
    assert with_session.startswith("https://b.example:8443/fc?tenant=1&x=%20y&")
    assert parse_qs(urlsplit(with_session).query, strict_parsing=True) == {
        "tenant": ["1"],
        "x": [" y"],
        "iss": [provider.server.issuer],
        "sid": [claims_of(tokens["id_token"])["sid"]],
    }
    assert frame_sources(page) == {"https://app.example", "https://b.example:8443"}
    assert frames.continues_at == f"{AFTER}?state=a+b%26c"
    assert frames.refresh == f"5; url={AFTER}?state=a+b%26c"
    assert frames.scripts == ["/static/front_channel_logout.js"]
    assert (await provider.http.get(frames.scripts[0])).status_code == 200
    assert "authsvc_session" not in browser.http.cookies
    assert page.headers["cache-control"] == "no-store"


async def test_without_a_way_on_the_page_says_that_one_is_signed_out(
    sqlite_provider: Provider,
) -> None:
    _, browser, _ = await signed_in(sqlite_provider, frontchannel_logout_uri=FRAME)

    page = await browser.submit(await browser.get("/logout"), {}, button="#logout-confirm")

    frames = _Frames(page)
    assert "You are signed out" in page.text
    assert frames.sources == [FRAME]
    assert (frames.continues_at, frames.refresh, frames.scripts) == (None, None, [])


async def test_nothing_is_framed_before_the_session_has_ended(sqlite_provider: Provider) -> None:
    _, browser, tokens = await signed_in(sqlite_provider, frontchannel_logout_uri=FRAME)

    asked = await browser.get("/logout")

    assert _Frames(asked).sources == []
    assert frame_sources(asked) == set()
    hint = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    await browser.get("/logout", hint)
    await browser.get("/logout", hint)
    assert browser.left_for == AFTER
    stranger = sqlite_provider.browser()
    await stranger.get("/logout", hint)
    assert stranger.left_for == AFTER


async def test_a_logout_that_another_request_overtook_frames_nothing(
    sqlite_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, browser, tokens = await signed_in(sqlite_provider, frontchannel_logout_uri=FRAME)
    revoker = type(sqlite_provider.resources.revoker)
    revoke_session = revoker.revoke_session

    async def revoke_twice(self: Any, tx: Any, session_id: str) -> str | None:
        await revoke_session(self, tx, session_id)
        return await revoke_session(self, tx, session_id)

    monkeypatch.setattr(revoker, "revoke_session", revoke_twice)
    hint = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    await browser.get("/logout", hint)

    assert browser.left_for == AFTER
    assert await sqlite_provider.audit_events("session.ended") == []
    assert "authsvc_session" not in browser.http.cookies


async def test_a_client_that_wants_no_notices_any_more_is_not_framed(
    sqlite_provider: Provider,
) -> None:
    account, browser, tokens = await signed_in(sqlite_provider)
    client = await sqlite_provider.create_client(frontchannel_logout_uri=FRAME)
    await sqlite_provider.sign_in(client, account, browser)
    administration = sqlite_provider.server.client_administration
    change = await administration.check_change(client.client_id, {"frontchannel_logout_uri": None})
    async with sqlite_provider.resources.database.transaction() as tx:
        await administration.update(tx, client.client_id, change, ORIGIN)

    hint = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER}
    await browser.get("/logout", hint)

    assert browser.left_for == AFTER


async def test_a_logout_by_post_frames_too(sqlite_provider: Provider) -> None:
    _, browser, tokens = await signed_in(sqlite_provider, frontchannel_logout_uri=FRAME)

    page = await browser.post("/logout", {"id_token_hint": tokens["id_token"]})

    assert _Frames(page).sources == [FRAME]


@pytest.mark.parametrize(("number", "named"), [(40, True), (41, False)])
async def test_the_policy_of_many_frames_fits_into_a_header(
    sqlite_provider: Provider, number: int, named: bool
) -> None:
    account, browser, tokens = await signed_in(sqlite_provider)
    origins = [f"https://app-{n}.intranet.example" for n in range(number)]
    for origin in origins:
        client = await sqlite_provider.create_client(
            redirect_uris=[REDIRECT_URI, f"{origin}/callback"],
            frontchannel_logout_uri=f"{origin}/fc",
        )
        await sqlite_provider.authorize(browser, client, account, scope="openid")

    page = await browser.get("/logout", {"id_token_hint": tokens["id_token"]})

    assert sorted(_Frames(page).sources) == sorted(f"{origin}/fc" for origin in origins)
    assert frame_sources(page) == (set(origins) if named else {"https:"})
    assert len(page.headers["content-security-policy"]) < 2_048


async def test_the_clients_are_found_before_the_end_of_the_session_is_durable(
    sqlite_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logout that can not name its frames is none, and may be tried again."""
    _, browser, tokens = await signed_in(sqlite_provider, frontchannel_logout_uri=FRAME)

    async def fail(*_: Any) -> list[str]:
        raise RuntimeError("the database went away")

    with monkeypatch.context() as patched:
        patched.setattr(end_session, "list_session_clients", fail)
        failed = await browser.get("/logout", {"id_token_hint": tokens["id_token"]})
    assert failed.status == 500
    page = await browser.get("/logout", {"id_token_hint": tokens["id_token"]})

    assert _Frames(page).sources == [FRAME]
