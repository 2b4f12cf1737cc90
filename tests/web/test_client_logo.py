"""``/clients/{client_id}/logo``: a bitmap from the client's host, and nothing else."""

from collections.abc import AsyncIterator

import pytest

from authsvc.web.client_logo import find_media_type
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider, TestClient
from tests.web_servers import WebServer, open_web_server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.fixture
async def host() -> AsyncIterator[WebServer]:
    """The client's own host."""
    async with open_web_server() as server:
        yield server


@pytest.fixture
async def provider(
    sqlite_backend: Backend, open_providers: OpenProvider, host: WebServer
) -> Provider:
    """A provider that reaches the client's host."""
    running: Provider = await open_providers(
        sqlite_backend, outbound_loopback=True, outbound_ca_file=host.ca_file
    )
    return running


async def with_logo(provider: Provider, host: WebServer, client_id: str = "web") -> TestClient:
    return await provider.create_client(
        client_id=client_id,
        logo_uri=f"{host.url}/logo",
        policy_uri="https://app.example/policy",
        tos_uri="https://app.example/tos",
    )


@pytest.mark.parametrize(
    ("image", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(32), "image/jpeg"),
        (b"GIF87a" + bytes(32), "image/gif"),
        (b"GIF89a" + bytes(32), "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(32), "image/webp"),
    ],
)
async def test_a_bitmap_is_handed_on_under_its_own_type_and_can_do_nothing(
    provider: Provider, host: WebServer, image: bytes, media_type: str
) -> None:
    await with_logo(provider, host)
    host.respond("/logo", headers={"Content-Type": "text/html", "Set-Cookie": "a=b"}, body=image)

    response = await provider.http.get("/clients/web/logo")

    assert response.status_code == 200
    assert response.content == image
    assert response.headers["content-type"] == media_type
    assert response.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "private, max-age=3600"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert "set-cookie" not in response.headers
    assert not {"cookie", "referer", "authorization"} & host.requests[0].headers.keys()


@pytest.mark.parametrize(
    "content",
    [SVG, b"<html>", b"", b"RIFF\x00\x00\x00\x00WAVEfmt ", b" " + PNG, b"BM" + bytes(32)],
    ids=lambda content: repr(content[:8]),
)
async def test_what_is_no_bitmap_is_not_there_whatever_its_type_says(
    provider: Provider, host: WebServer, content: bytes
) -> None:
    await with_logo(provider, host)
    host.respond("/logo", headers={"Content-Type": "image/png"}, body=content)
    response = await provider.http.get("/clients/web/logo")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


async def test_a_logo_that_is_too_large_or_not_reachable_is_not_there(
    provider: Provider, host: WebServer
) -> None:
    await with_logo(provider, host)
    assert (await provider.http.get("/clients/web/logo")).status_code == 404
    provider.clock.move(seconds=30)  # for as long a failure is remembered
    host.respond("/logo", body=PNG + bytes(262_144))
    assert (await provider.http.get("/clients/web/logo")).status_code == 404
    provider.clock.move(seconds=30)
    host.respond("/logo", body=PNG + bytes(262_144 - len(PNG)))
    assert (await provider.http.get("/clients/web/logo")).status_code == 200


async def test_a_client_without_a_logo_and_no_client_are_the_same_404(
    provider: Provider, host: WebServer
) -> None:
    await provider.create_client(client_id="plain")
    answers = [
        await provider.http.get(f"/clients/{name}/logo")
        for name in ("plain", "none", "%00", "a%2Fb")
    ]
    assert {response.status_code for response in answers} == {404}
    assert len({response.content for response in answers}) == 1
    assert host.requests == []


async def test_an_address_that_outbound_requests_may_not_reach_is_not_asked(
    sqlite_backend: Backend, open_providers: OpenProvider, host: WebServer
) -> None:
    provider = await open_providers(sqlite_backend, outbound_ca_file=host.ca_file)
    host.respond("/logo", body=PNG)
    await with_logo(provider, host)
    assert (await provider.http.get("/clients/web/logo")).status_code == 404
    assert host.requests == []


@pytest.mark.parametrize("client_id", ["web", "https%slash/../?#&\"'"])
async def test_the_consent_page_shows_it_from_here_and_links_policy_and_terms(
    provider: Provider, host: WebServer, client_id: str
) -> None:
    client_id = client_id.replace('"', "")
    client = await with_logo(provider, host, client_id)
    host.respond("/logo", headers={"Cache-Control": "max-age=60"}, body=PNG)
    browser, account = provider.browser(), await provider.create_user()
    page = await browser.get("/authorize", provider.authorization_parameters(client))
    page = await browser.submit(
        page,
        {"username": account.username, "password": account.password},
        button="#login-submit",
    )

    assert page.has("#consent-approve")
    assert host.url not in page.text
    assert "img-src 'self';" in page.headers["content-security-policy"]
    assert 'href="https://app.example/policy"' in page.text
    assert 'href="https://app.example/tos"' in page.text
    source = page.text.partition('<img class="logo" src="')[2].partition('"')[0]
    assert 'alt="" width="64" height="64"' in page.text
    assert host.requests == []
    assert (await browser.http.get(source)).content == PNG


async def test_a_client_without_a_logo_has_no_image_on_the_consent_page(
    provider: Provider,
) -> None:
    client, browser = await provider.create_client(), provider.browser()
    account = await provider.create_user()
    page = await browser.get("/authorize", provider.authorization_parameters(client))
    page = await browser.submit(
        page,
        {"username": account.username, "password": account.password},
        button="#login-submit",
    )
    assert page.has("#consent-approve")
    assert 'class="logo"' not in page.text


def test_no_type_is_guessed_from_less_than_the_magic_bytes() -> None:
    for image in (b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"RIFF1234WEBP"):
        assert find_media_type(image) is None
