"""3rd-Party-Init Login OP: ``initiate_login_uri`` (OpenID Connect Core §4)."""

import html
import re
from urllib.parse import parse_qsl, urlsplit

from tests.browser import Browser
from tests.certification.suite import Suite

INITIATE = "https://rp.example/initiate?tenant=1"


async def _links(suite: Suite, browser: Browser) -> list[str]:
    """Return where the provider's own page lets a person begin."""
    page = await browser.get(f"{suite.issuer}/")
    hrefs = [html.unescape(href) for href in re.findall(r'href="([^"]+)"', page.text)]
    return [href for href in hrefs if href.startswith("https://rp.example/")]


async def test_a_sign_in_can_begin_at_the_provider(suite: Suite) -> None:
    client, browser = await suite.register(initiate_login_uri=INITIATE), suite.provider.browser()
    assert client.registration["initiate_login_uri"] == INITIATE
    assert await _links(suite, browser) == []
    await client.sign_in(browser)

    (link,) = await _links(suite, browser)

    assert link.startswith("https://rp.example/initiate?")
    query = dict(parse_qsl(urlsplit(link).query, strict_parsing=True))
    assert query == {"tenant": "1", "iss": suite.issuer}
    # What the client does then.
    again = await client.sign_in(browser)
    assert again.answer.pages == []


async def test_an_initiate_login_uri_that_is_not_https_is_refused(suite: Suite) -> None:
    for uri in ("http://rp.example/initiate", "rp.example", "https://rp.example/initiate#x"):
        await suite.refuse_registration("invalid_client_metadata", initiate_login_uri=uri)
