"""A person who is signed in to a client, and how that ends."""

from dataclasses import dataclass
from typing import Any

from tests.browser import Browser, Page
from tests.certification.relying_party import RelyingParty, SignedIn
from tests.certification.suite import Suite

AFTER = "https://rp.example/signed-out"
"""Where clients are registered to send a person who has signed out."""


@dataclass
class Session:
    """A person who is signed in to a client with a browser."""

    client: RelyingParty
    browser: Browser
    signed_in: SignedIn

    @property
    def suite(self) -> Suite:
        """The suite of the client."""
        return self.client.suite

    async def log_out(self, *, post: bool = False, **parameters: Any) -> Page:
        """Send the browser to the end session endpoint."""
        endpoint = self.suite.metadata["end_session_endpoint"]
        if post:
            return await self.browser.post(endpoint, parameters)
        return await self.browser.get(endpoint, parameters)

    async def is_over(self) -> bool:
        """Tell whether the provider has nobody signed in in this browser."""
        answer = await self.client.authorize(self.browser, prompt="none")
        assert answer.error in (None, "login_required")
        return answer.error is not None


async def begin_session(suite: Suite, response_type: str = "code", **members: Any) -> Session:
    """Register a client and let the person sign in to it."""
    client = await suite.register(response_type, **{"post_logout_redirect_uris": [AFTER]} | members)
    browser = suite.provider.browser()
    return Session(client, browser, await client.sign_in(browser))


def check_error_page(session: Session, page: Page) -> None:
    """See to it that the person was shown an error and sent nowhere."""
    assert session.browser.left_for is None
    assert page.status == 400
    assert page.headers["content-type"].startswith("text/html")
    assert page.alert
