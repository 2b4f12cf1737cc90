"""A client that the suite registered: what it sends, and how it reads what it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from tests.browser import Browser, Page
from tests.certification.answer import Answer, left_half_hash, read_answer
from tests.provider import header_of

if TYPE_CHECKING:
    from tests.certification.suite import Suite

CALLBACK = "https://rp.example/certification/callback"
STATE = "st-~!*'();:@&=+$,/?#[] %25"
"""Every reserved character of RFC 3986, and a space."""

NONCE = "n-0S6_WzA2Mj"
JSON = "application/json"


@dataclass
class RelyingParty:
    """A client that the suite registered."""

    suite: "Suite"
    response_type: str
    registration: dict[str, Any]

    @property
    def client_id(self) -> str:
        """Its identifier."""
        return str(self.registration["client_id"])

    def request(self, **parameters: Any) -> dict[str, str]:
        """Return an authorization request; None leaves a parameter out."""
        wanted = {
            "client_id": self.client_id,
            "redirect_uri": self.registration["redirect_uris"][0],
            "response_type": self.response_type,
            "scope": "openid",
            "state": STATE,
            "nonce": NONCE,
            **parameters,
        }
        return {name: str(value) for name, value in wanted.items() if value is not None}

    async def visit(self, browser: Browser, *, post: bool = False, **parameters: Any) -> Page:
        """Send the browser to the authorization endpoint, and stop at the first page."""
        endpoint = self.suite.metadata["authorization_endpoint"]
        request = self.request(**parameters)
        if post:
            return await browser.post(endpoint, request)
        return await browser.get(endpoint, request)

    async def authorize(
        self, browser: Browser | None = None, *, post: bool = False, **parameters: Any
    ) -> Answer:
        """Let the person sign in and allow what is asked; return what the client gets."""
        browser = browser or self.suite.provider.browser()
        page = await self.visit(browser, post=post, **parameters)
        return await self.finish(browser, page, self.request(**parameters))

    async def finish(self, browser: Browser, page: Page, request: Mapping[str, str]) -> Answer:
        """Go on from ``page`` until the browser is sent back to the client."""
        shown: list[str] = []
        person = self.suite.person
        while browser.left_for is None and not page.has("#form-post-continue"):
            assert len(shown) < 4, page.text
            if page.has("input[name=password]"):
                shown.append("login")
                values = {"username": person.username, "password": person.password}
                page = await browser.submit(page, values, button="#login-submit")
            elif page.has("#consent-approve"):
                shown.append("consent")
                page = await browser.submit(page, {}, button="#consent-approve")
            else:
                raise AssertionError(f"no way on from {page.status} {page.url}: {page.alert}")
        answer = read_answer(browser, page, shown, request.get("redirect_uri", ""))
        assert answer.parameters.get("state") == request.get("state")
        assert answer.parameters["iss"] == self.suite.issuer  # RFC 9207 §2
        return answer

    async def refuse(self, browser: Browser | None = None, **parameters: Any) -> Page:
        """See to it that the person is shown an error, and the client is told nothing."""
        browser = browser or self.suite.provider.browser()
        page = await self.visit(browser, **parameters)
        assert browser.left_for is None
        assert page.status == 400
        assert page.headers["content-type"].startswith("text/html")
        assert page.alert
        return page

    async def call_token(self, **parameters: Any) -> httpx.Response:
        """Call the token endpoint with the method that was registered."""
        method = self.registration["token_endpoint_auth_method"]
        secret, auth = self.registration.get("client_secret"), None
        if method == "client_secret_basic":
            auth = httpx.BasicAuth(self.client_id, str(secret))
        else:
            parameters["client_id"] = self.client_id
        if method == "client_secret_post":
            parameters["client_secret"] = secret
        return await self.suite.http.post(
            self.suite.metadata["token_endpoint"],
            data={name: value for name, value in parameters.items() if value is not None},
            auth=auth or httpx.USE_CLIENT_DEFAULT,
        )

    async def redeem(self, answer: Answer, **parameters: Any) -> httpx.Response:
        """Exchange the code of an authorization response."""
        wanted = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": answer.uri,
        }
        return await self.call_token(**(wanted | parameters))

    async def tokens(self, answer: Answer, **parameters: Any) -> dict[str, Any]:
        """Return a checked token response (RFC 6749 §5.1, Core §3.1.3.3)."""
        response = await self.redeem(answer, **parameters)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].partition(";")[0] == JSON
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["pragma"] == "no-cache"
        tokens: dict[str, Any] = response.json()
        assert tokens["access_token"]
        assert tokens["token_type"].lower() == "bearer"
        assert isinstance(tokens["expires_in"], int)
        assert tokens["expires_in"] > 0
        return tokens

    async def sign_in(self, browser: Browser | None = None, **parameters: Any) -> "SignedIn":
        """Go the whole way of the response type, checking everything on it."""
        answer = await self.authorize(browser, **parameters)
        return await self.collect(answer, nonce=self.request(**parameters).get("nonce"))

    async def collect(self, answer: Answer, *, nonce: str | None = NONCE) -> "SignedIn":
        """Check what the answer carries, and redeem its code."""
        assert answer.error is None, answer.parameters
        parts = set(self.response_type.split())
        assert ("code" in answer) == ("code" in parts)
        assert ("access_token" in answer) == ("token" in parts)
        assert ("id_token" in answer) == ("id_token" in parts)
        front = None
        if "id_token" in answer:
            front = await self.check_id_token(
                answer["id_token"],
                nonce=nonce,
                access_token=answer.parameters.get("access_token"),
                code=answer.parameters.get("code"),
            )
            assert front.get("s_hash") in (None, left_half_hash(answer.parameters.get("state")))
        if "access_token" in answer:
            assert answer["token_type"].lower() == "bearer"
            assert int(answer["expires_in"]) > 0
        if "code" not in answer:
            return SignedIn(answer, {}, front or {}, front, answer.parameters.get("access_token"))
        tokens = await self.tokens(answer)
        claims = await self.check_id_token(
            tokens["id_token"], nonce=nonce, access_token=tokens["access_token"], optional=True
        )
        if front is not None:  # OpenID Connect Core §3.3.3.6
            assert (front["iss"], front["sub"]) == (claims["iss"], claims["sub"])
        return SignedIn(answer, tokens, claims, front, tokens["access_token"])

    async def check_id_token(
        self,
        token: str,
        *,
        nonce: str | None = NONCE,
        access_token: str | None = None,
        code: str | None = None,
        optional: bool = False,
    ) -> dict[str, Any]:
        """Check an ID token by Core §3.1.3.7, §3.2.2.11 and §3.3.2.11; return its claims.

        ``optional``: it came from the token endpoint, where ``at_hash`` may be missing.
        """
        claims, header = await self.suite.verify(token), header_of(token)
        assert header["alg"] == self.registration.get("id_token_signed_response_alg", "RS256")
        assert claims["iss"] == self.suite.issuer
        audience = claims["aud"]
        assert self.client_id in (audience if isinstance(audience, list) else [audience])
        assert claims.get("azp", self.client_id) == self.client_id
        assert 0 < len(claims["sub"]) <= 255
        assert claims["sub"].isascii()
        now = self.suite.now()
        assert all(isinstance(claims[name], int) for name in ("iat", "exp"))
        assert now - 10 <= claims["iat"] <= now + 1
        assert claims["exp"] > now
        assert claims.get("nonce") == nonce
        if not optional or "at_hash" in claims:
            assert claims.get("at_hash") == left_half_hash(access_token)
        assert claims.get("c_hash") == left_half_hash(code)
        return claims


@dataclass(frozen=True)
class SignedIn:
    """Everything that a client has after a person signed in."""

    answer: Answer
    tokens: Mapping[str, Any]
    claims: dict[str, Any]
    """Of the ID token, that of the token endpoint where there is one."""
    front_claims: dict[str, Any] | None
    """Of the ID token of the authorization endpoint."""
    access_token: str | None

    @property
    def id_token(self) -> str:
        """The ID token that the client would keep."""
        return str(self.tokens.get("id_token") or self.answer["id_token"])
