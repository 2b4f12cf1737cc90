"""The pages: what they escape, what their policy allows, and that people can use them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from starlette.responses import HTMLResponse

from authsvc.web import pages as pages_module
from authsvc.web.consent_terms import terms_as_shown
from authsvc.web.pages import Pages, csp_source, web_uri

WEB = Path(pages_module.__file__).parent
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1) style=color:red>&{{ 7*7 }}"
VOID = frozenset({"base", "br", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})

FORM = {"action": HOSTILE, "csrf_token": HOSTILE}
PEOPLE = {"username": HOSTILE, "client_name": HOSTILE, "error": HOSTILE}
FIELDS = [(HOSTILE, HOSTILE), ("state", HOSTILE)]
CLIENT = dict.fromkeys(("name", "uri", "logo_uri", "policy_uri", "tos_uri"), HOSTILE)

HOSTILE_VALUES: dict[str, dict[str, object]] = {
    "login.html": {
        **FORM,
        **PEOPLE,
        "continue_": HOSTILE,
        "notice": HOSTILE,
        "locale": HOSTILE,
        "forgot_url": HOSTILE,
    },
    "password_forgot.html": {**FORM, "username": HOSTILE, "error": HOSTILE},
    "password_asked.html": {},
    "password_reset.html": {**FORM, "token": HOSTILE, "error": HOSTILE},
    "password_changed.html": {"login_url": HOSTILE},
    "password_link_over.html": {"forgot_url": HOSTILE},
    "consent.html": {
        **FORM,
        "continue_": HOSTILE,
        "client": CLIENT,
        "username": HOSTILE,
        "scopes": [
            {"name": HOSTILE, "description": HOSTILE, "governs": True},
            {"name": HOSTILE, "description": None, "governs": True},
            {"name": HOSTILE, "description": None, "governs": False},
        ],
        "redirect_host": HOSTILE,
        "switch_url": HOSTILE,
    },
    "device.html": {**FORM, "user_code": HOSTILE, "error": HOSTILE},
    "device_confirm.html": {
        **FORM,
        "device": HOSTILE,
        "user_code": HOSTILE,
        "client": CLIENT,
        "username": HOSTILE,
        "scopes": [{"name": HOSTILE, "description": None, "governs": True}],
        "switch_url": HOSTILE,
    },
    "device_done.html": {"approved": True, "client_name": HOSTILE},
    "logout.html": {**FORM, **PEOPLE, "fields": FIELDS},
    "logged_out.html": {},
    "error.html": {
        "title": HOSTILE,
        "message": HOSTILE,
        "error": HOSTILE,
        "error_description": HOSTILE,
        "request_id": HOSTILE,
    },
    "form_post.html": {"action": HOSTILE, "fields": FIELDS},
    "start.html": {
        "issuer": HOSTILE,
        "links": [{"label": HOSTILE, "href": HOSTILE, "note": HOSTILE}],
        "signed_in_as": HOSTILE,
    },
    "front_channel_logout.html": {"location": HOSTILE, "frames": [HOSTILE]},
    "signed_in.html": {
        "username": HOSTILE,
        "logout_url": HOSTILE,
        "issuer": HOSTILE,
        "discovery_url": HOSTILE,
        "apps": [{"name": HOSTILE, "host": HOSTILE, "login_url": HOSTILE}],
    },
    "select_account.html": {
        "client_name": HOSTILE,
        "username": HOSTILE,
        "continue_url": HOSTILE,
        "other_url": HOSTILE,
    },
}
NOTHING_OPTIONAL: dict[str, dict[str, object]] = {
    "login.html": {
        "action": "/login",
        "csrf_token": "t",
        **dict.fromkeys(("username", "client_name", "error", "notice", "locale", "forgot_url")),
    },
    "password_forgot.html": {
        "action": "/password/forgot",
        "csrf_token": "t",
        **dict.fromkeys(("username", "error")),
    },
    "password_asked.html": {},
    "password_reset.html": {
        "action": "/password/reset",
        "csrf_token": "t",
        "token": "x",
        "error": None,
    },
    "password_changed.html": {"login_url": "/login"},
    "password_link_over.html": {"forgot_url": "/password/forgot"},
    "consent.html": {
        "action": "/consent",
        "csrf_token": "t",
        "continue_": None,
        "client": dict.fromkeys(CLIENT),
        "username": "maria",
        "scopes": [],
        "redirect_host": "app.example",
        "switch_url": None,
    },
    "device.html": {"action": "/device", "csrf_token": "t", "user_code": "", "error": None},
    "device_confirm.html": {
        "action": "/device/confirm",
        "csrf_token": "t",
        "device": "d",
        "user_code": "BCDF-GHJK",
        "client": {**dict.fromkeys(CLIENT), "name": "TV"},
        "username": "maria",
        "scopes": [],
        "switch_url": "/login",
    },
    "device_done.html": {"approved": False, "client_name": "TV"},
    "logout.html": {
        "action": "/logout",
        "csrf_token": "t",
        "fields": [],
        "username": "maria",
        "client_name": None,
        "error": None,
    },
    "logged_out.html": {},
    "error.html": {
        "title": "Gone",
        "message": "It is gone.",
        **dict.fromkeys(("error", "error_description", "request_id")),
    },
    "form_post.html": {"action": "https://app.example/cb", "fields": []},
    "start.html": {"issuer": "http://127.0.0.1:8000", "links": [], "signed_in_as": None},
    "front_channel_logout.html": {"location": None},
    "signed_in.html": {
        "username": "maria",
        "logout_url": "/logout",
        "apps": [],
        "issuer": "http://127.0.0.1:8000",
        "discovery_url": "/.well-known/openid-configuration",
    },
    "select_account.html": {
        "client_name": "c",
        "username": "maria",
        "continue_url": "/authorize/resume?continue=x",
        "other_url": "/login?continue=x",
    },
}
EVERY_PAGE = pytest.mark.parametrize(
    ("template", "values"),
    [
        pytest.param(template, values, id=f"{template}-{kind}")
        for kind, table in (("hostile", HOSTILE_VALUES), ("bare", NOTHING_OPTIONAL))
        for template, values in table.items()
    ],
)


class Element:
    """A tag with its attributes and the text below it."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.text = ""

    def __getitem__(self, name: str) -> str | None:
        return self.attributes.get(name)


class Document(HTMLParser):
    """Reads a page into elements and complains about tags that do not nest."""

    def __init__(self, page: HTMLResponse) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(bytes(page.body).decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"<{tag}> repeats an attribute"
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, *tags: str) -> Iterator[Element]:
        return (element for element in self.elements if element.tag in tags)

    def by_id(self, identifier: str) -> Element:
        (element,) = (e for e in self.elements if e["id"] == identifier)
        return element

    def by_role(self, role: str) -> list[str]:
        return [element.text for element in self.elements if element["role"] == role]

    def field(self, name: str) -> Element:
        (element,) = (e for e in self.all("input") if e["name"] == name)
        return element


@pytest.fixture
def pages() -> Pages:
    return Pages(base_path="/id")


def render(
    pages: Pages, template: str, values: Mapping[str, object], *, status: int = 200
) -> HTMLResponse:
    return cast("Callable[..., HTMLResponse]", pages.render)(template, status=status, **values)


def policy(page: HTMLResponse) -> dict[str, str]:
    directives = page.headers["content-security-policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("https://app.example/callback?x=1#f", "https://app.example"),
        ("https://app.example", "https://app.example"),
        ("https://app.example?x", "https://app.example"),
        ("https://APP.Example:8443/cb", "https://app.example:8443"),
        ("HTTP://localhost:3000/cb", "http://localhost:3000"),
        ("http://127.0.0.1:49152/cb", "http://127.0.0.1:49152"),
        ("https://app.example:/cb", "https://app.example"),
        ("https://app.example:0443/cb", "https://app.example:443"),
        ("https://xn--bcher-kva.example/cb", "https://xn--bcher-kva.example"),
        ("https://app.example/a;script-src *", None),
        ("https://app.example/a;v=1,2", "https://app.example"),
        ("com.example.app:/callback", None),
        ("myapp://cb;x", None),
        ("http://[::1]:5000/cb", None),
        ("https://app.example;script-src/cb", None),
        ("https://app.example,evil.example/cb", None),
        ("https://app.example /cb", None),
        ("https://app.example\t/cb", None),
        ("https://app.example\n/cb", None),
        ("https://app.example/cb\n", None),
        ("https://app.example\x00/cb", None),
        ("https://user@app.example/cb", None),
        ("https://app.example\\@evil.example/cb", None),
        ("https://*/cb", None),
        ("https://*.example/cb", None),
        ("https://app.example:*/cb", None),
        ("https://app.example:0/cb", None),
        ("https://app.example:65536/cb", None),
        ("https://app.example:999999/cb", None),
        ("https://app.example:8o/cb", None),
        ("https://app..example/cb", None),
        ("https://app_1.example/cb", None),
        ("https://%61pp.example/cb", None),
        ("https://bücher.example/cb", None),
        ("https://app.example\u212a/cb", None),
        ("https:///cb", None),
        ("https:app.example", None),
        ("https:", None),
        ("//app.example/cb", None),
        ("/cb", None),
        ("", None),
        ("*", None),
        ("'unsafe-inline'", None),
        ("'none':x", None),
        ("javascript:alert(1)", None),
        ("JavaScript:alert(1)", None),
        ("data:text/html,x", None),
        ("blob:https://app.example/1", None),
        ("file:///etc/passwd", None),
        ("ws://app.example/", None),
        ("com.example.app:", None),
        ("1app:/cb", None),
        ("com;example:/cb", None),
    ],
)
def test_a_uri_becomes_a_csp_source_or_nothing(uri: str, source: str | None) -> None:
    assert csp_source(uri) == source


@given(
    st.text()
    | st.builds("{}://{}".format, st.sampled_from(["http", "https", "app"]), st.text())
    | st.text(alphabet="aZ0.:/@[]*;, '\"\\\n_-", min_size=1).map("https://a".__add__)
)
def test_no_uri_widens_a_policy(uri: str) -> None:
    source = csp_source(uri)
    if source is not None:
        assert re.fullmatch(r"https?://[a-z0-9.-]+(?::[1-9][0-9]{0,4})?", source)


@pytest.mark.parametrize(
    ("uri", "linked"),
    [
        ("https://app.example/privacy", True),
        ("http://app.example/", True),
        ("javascript:alert(1)", False),
        ("https:alert(1)", False),
        ("data:text/html,x", False),
        ("com.example.app:/privacy", False),
        ("//app.example/", False),
        ("", False),
        (None, False),
    ],
)
def test_only_web_addresses_become_links(uri: str | None, linked: bool) -> None:
    assert web_uri(uri) == (uri if linked else None)


@pytest.mark.parametrize("base_path", ["/", "//evil.example", "id", "/id/", "/i d", '/"', "/id\n"])
def test_a_base_path_that_is_no_path_is_refused(base_path: str) -> None:
    with pytest.raises(ValueError, match="base_path"):
        Pages(base_path=base_path)


@pytest.mark.parametrize("base_path", ["", "/id", "/a/b-c"])
def test_assets_lie_under_the_issuer_and_exist(base_path: str) -> None:
    page = Pages(base_path=base_path).render("form_post.html", action="/", fields=[])
    assets = [
        element["src"] or element["href"] or ""
        for element in Document(page).all("img", "link", "script")
    ]
    assert f"{base_path}/static/authsvc.css" in assets
    for asset in assets:
        assert asset.startswith(f"{base_path}/static/")
        assert (WEB / asset.removeprefix(f"{base_path}/")).is_file()


def test_every_template_is_in_the_tables_of_this_test() -> None:
    # The frame for other sites knows no value, and has other headers: see its own test.
    others = {"base.html", "check_session.html"}
    templates = {path.name for path in (WEB / "templates").iterdir()} - others
    assert templates == HOSTILE_VALUES.keys() == NOTHING_OPTIONAL.keys()


def harmless(value: object) -> object:
    """Return ``value`` with each hostile text in it replaced by a plain one."""
    if isinstance(value, dict):
        return {name: harmless(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [harmless(inner) for inner in value]
    return "x" if value == HOSTILE else value


@pytest.mark.parametrize("template", HOSTILE_VALUES)
def test_hostile_values_stay_text(pages: Pages, template: str) -> None:
    values = HOSTILE_VALUES[template]
    plain = {name: harmless(value) for name, value in values.items()}
    hostile = Document(render(pages, template, values)).elements
    expected = Document(render(pages, template, plain)).elements
    assert [e.tag for e in hostile] == [e.tag for e in expected]
    assert [e.attributes.keys() for e in hostile] == [e.attributes.keys() for e in expected]
    texts = [t or "" for e in hostile for t in (e.text, *e.attributes.values())]
    assert any(HOSTILE in text for text in texts) == bool(values)


@EVERY_PAGE
def test_a_page_holds_nothing_inline_and_nothing_foreign(
    pages: Pages, template: str, values: dict[str, object]
) -> None:
    document = Document(render(pages, template, values))
    for element in document.elements:
        assert element.tag not in {"style", "object", "embed", "base"}
        assert (element.tag == "iframe") <= (template == "front_channel_logout.html")
        assert element["style"] is None
        assert not [name for name in element.attributes if name.startswith("on")]
        if element.tag == "script":
            assert element["src"]
            assert not element.text.strip()
        if element.tag in {"img", "link", "script"}:
            assert (element["src"] or element["href"] or "").startswith("/id/static/")


@EVERY_PAGE
def test_a_page_can_be_used_with_a_screen_reader(
    pages: Pages, template: str, values: dict[str, object]
) -> None:
    document = Document(render(pages, template, values))
    counted = Counter(e["id"] for e in document.elements if e["id"] is not None)
    assert [identifier for identifier, times in counted.items() if times > 1] == []
    labelled = {e["for"] for e in document.all("label") if e.text.strip()}
    visible = [e for e in document.all("input") if e["type"] != "hidden"]
    assert all(e["id"] in labelled for e in visible)
    assert all(e["autocomplete"] for e in visible)
    for element in document.elements:
        for reference in (element["aria-describedby"] or "").split():
            assert document.by_id(reference).text.strip()
    assert all(e.text.strip() for e in document.all("a", "button", "h1", "h2", "title"))
    assert all(e["alt"] is not None for e in document.all("img"))
    assert [e["lang"] for e in document.all("html")] == ["en"]
    assert len(list(document.all("h1"))) == len(list(document.all("main"))) == 1


@EVERY_PAGE
def test_a_page_carries_its_security_headers(
    pages: Pages, template: str, values: dict[str, object]
) -> None:
    page = render(pages, template, values)
    assert policy(page) == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    expected = {
        "cache-control": "no-store",
        "pragma": "no-cache",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "content-type": "text/html; charset=utf-8",
    }
    assert {name: page.headers[name] for name in expected} == expected


@EVERY_PAGE
def test_a_template_fails_when_any_one_value_is_missing(
    pages: Pages, template: str, values: dict[str, object]
) -> None:
    for name in values.keys() - {"continue_", "locale", "frames"}:
        rest = {other: value for other, value in values.items() if other != name}
        with pytest.raises(UndefinedError):
            render(pages, template, rest)


def test_forms_stay_here_unless_a_page_leads_away(pages: Pages) -> None:
    assert policy(pages.render("logged_out.html"))["form-action"] == "'self'"
    leading = policy(pages.render("logged_out.html", leads_away=True))
    assert "form-action" not in leading
    assert leading.items() < policy(pages.render("logged_out.html")).items()


def test_a_page_tells_other_origins_no_more_than_its_own(pages: Pages) -> None:
    page = pages.render("logged_out.html", tells_origin=True)
    assert page.headers.getlist("referrer-policy") == ["origin"]


@pytest.mark.parametrize("template", ["consent.html", "device_confirm.html"])
def test_what_governs_this_service_comes_first_and_is_marked(pages: Pages, template: str) -> None:
    wanted = ["openid", "orders:read", "authsvc:admin", "authsvc-like", "authsvc:other"]
    values = {**NOTHING_OPTIONAL[template], "scopes": terms_as_shown(wanted)}
    document = Document(render(pages, template, values))
    (terms,) = (e for e in document.all("ul") if e["class"] == "rows")
    rows = [e for e in document.all("li") if e.text in terms.text]
    assert [e["class"] for e in rows] == ["message", "message", None, None, None]
    assert "Administer this sign-in service" in document.by_id("governs-warning").text
    for name, row in zip(["authsvc:admin", "authsvc:other", *wanted[:2]], rows, strict=False):
        assert name in row.text
    for button in document.all("button"):
        assert "governs-warning" in (button["aria-describedby"] or "")


@pytest.mark.parametrize("template", ["consent.html", "device_confirm.html"])
def test_what_does_not_govern_this_service_is_not_marked(pages: Pages, template: str) -> None:
    values = {**NOTHING_OPTIONAL[template], "scopes": terms_as_shown(["openid", "orders:read"])}
    page = render(pages, template, values)
    assert b"governs-warning" not in bytes(page.body)


def test_a_page_may_load_our_scripts_only_when_it_says_so(pages: Pages) -> None:
    assert policy(pages.render("logged_out.html", scripts=True))["script-src"] == "'self'"


def test_a_page_may_frame_only_the_given_origins(pages: Pages) -> None:
    frames = ["https://app.example/out?x=1", "https://evil.example; script-src *"]
    frames += ["https://app.example/other", "https://b.example:8443/out"]
    page = pages.render("front_channel_logout.html", location=None, frames=frames)
    assert policy(page)["frame-src"] == "https://app.example https://b.example:8443"
    assert "script-src" not in policy(page)
    document = Document(page)
    assert [element["src"] for element in document.all("iframe")] == frames
    assert all(
        element["title"] and "hidden" in element.attributes for element in document.all("iframe")
    )


def test_the_page_of_a_logout_goes_on_with_and_without_its_script(pages: Pages) -> None:
    page = pages.render(
        "front_channel_logout.html",
        location="https://app.example/out?state=1",
        frames=["https://app.example/fc"],
        scripts=True,
    )
    document = Document(page)
    button = document.by_id("logout-continue")
    assert button["href"] == "https://app.example/out?state=1"
    assert f"choose {button.text}." in next(document.all("main")).text
    refresh = [e["content"] for e in document.all("meta") if e["http-equiv"] == "refresh"]
    assert refresh == ["5; url=https://app.example/out?state=1"]
    (script,) = document.all("script")
    assert script["src"] == "/id/static/front_channel_logout.js"
    assert "logout-continue" in (WEB / "static" / "front_channel_logout.js").read_text()


def test_the_frame_for_other_sites_may_be_framed_and_nothing_else(pages: Pages) -> None:
    page = pages.render_for_frames("check_session.html")
    assert policy(page) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
    }
    assert "x-frame-options" not in page.headers
    (script,) = Document(page).all("script")
    assert script["src"] == "/id/static/check_session.js"


def test_added_headers_cannot_weaken_those_of_a_page(pages: Pages) -> None:
    page = pages.render(
        "logged_out.html",
        status=503,
        headers={
            "Retry-After": "5",
            "cache-control": "public",
            "content-security-policy": "default-src *",
        },
    )
    assert page.status_code == 503
    assert page.headers["retry-after"] == "5"
    assert page.headers.getlist("cache-control") == ["no-store"]
    assert len(page.headers.getlist("content-security-policy")) == 1
    assert policy(page)["default-src"] == "'none'"


def test_the_login_page_is_what_the_contract_promises(pages: Pages) -> None:
    document = Document(render(pages, "login.html", HOSTILE_VALUES["login.html"]))
    (form,) = document.all("form")
    assert (form["method"], form["action"]) == ("post", HOSTILE)
    assert document.field("csrf_token")["value"] == HOSTILE
    assert document.field("continue")["value"] == HOSTILE
    assert document.field("username")["value"] == HOSTILE
    assert document.field("username")["autocomplete"] == "username"
    password = document.field("password")
    assert (password["type"], password["autocomplete"]) == ("password", "current-password")
    assert password["value"] is None
    assert (document.by_id("login-submit").tag, document.by_id("login-submit")["type"]) == (
        "button",
        "submit",
    )
    assert document.by_role("alert") == document.by_role("status") == [HOSTILE]


def test_a_login_page_without_trouble_raises_no_alert(pages: Pages) -> None:
    document = Document(render(pages, "login.html", NOTHING_OPTIONAL["login.html"]))
    assert document.by_role("alert") == document.by_role("status") == []
    assert [e["name"] for e in document.all("input")] == ["csrf_token", "username", "password"]
    assert document.field("username")["value"] == ""


def test_the_consent_page_offers_both_decisions_alike(pages: Pages) -> None:
    document = Document(render(pages, "consent.html", HOSTILE_VALUES["consent.html"]))
    for identifier, decision in (("consent-approve", "approve"), ("consent-deny", "deny")):
        button = document.by_id(identifier)
        assert (button.tag, button["type"]) == ("button", "submit")
        assert (button["name"], button["value"]) == ("decision", decision)
    assert document.field("continue")["value"] == document.field("csrf_token")["value"] == HOSTILE


def test_the_consent_page_links_only_to_web_addresses_of_the_client(pages: Pages) -> None:
    client = {
        "name": "App",
        "uri": "javascript:alert(1)",
        "logo_uri": "https://app.example/logo.png",
        "policy_uri": "https://app.example/privacy",
        "tos_uri": "data:text/html,x",
    }
    values = {**NOTHING_OPTIONAL["consent.html"], "client": client}
    page = render(pages, "consent.html", values)
    outside, about = Document(page).all("a")
    assert (outside["href"], about["href"]) == ("https://app.example/privacy", "/id/")
    assert outside["rel"] == "noopener noreferrer"
    assert "logo.png" not in bytes(page.body).decode()


def test_the_logout_page_can_be_confirmed_and_left(pages: Pages) -> None:
    document = Document(render(pages, "logout.html", HOSTILE_VALUES["logout.html"]))
    assert document.by_id("logout-confirm")["type"] == "submit"
    assert document.field("state")["value"] == document.field(HOSTILE)["value"] == HOSTILE
    assert next(e.text for e in document.all("a")) == "Stay signed in"
    assert document.by_role("alert") == [HOSTILE]


@pytest.mark.parametrize(
    ("status", "advice"), [(400, "start again"), (429, "Wait a minute"), (503, "Try again")]
)
def test_an_error_page_says_what_one_can_do(pages: Pages, status: int, advice: str) -> None:
    values = HOSTILE_VALUES["error.html"]
    page = render(pages, "error.html", values, status=status)
    document = Document(page)
    assert page.status_code == status
    assert document.by_role("alert") == [HOSTILE]
    assert advice in next(document.all("ul")).text
    assert str(status) in [e.text for e in document.all("dd")]


def test_a_form_post_page_works_with_and_without_its_script(pages: Pages) -> None:
    document = Document(render(pages, "form_post.html", HOSTILE_VALUES["form_post.html"]))
    assert document.by_id("form-post")["action"] == HOSTILE
    assert [e["type"] for e in document.all("button")] == ["submit"]
    (script,) = document.all("script")
    assert script["src"] == "/id/static/form_post.js"
    assert "form-post" in (WEB / "static" / "form_post.js").read_text()
    assert [e["type"] for e in document.all("input")] == ["hidden", "hidden"]
