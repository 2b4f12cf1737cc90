"""What people and apps see of a provider behind a reverse proxy; see ``make interop``."""

import time

import httpx
import pytest

from tests.interop.behind_tls import Deployment
from tests.interop.person import Person

pytestmark = pytest.mark.interop


def test_cookies_are_bound_to_the_host_and_to_tls(deployment: Deployment, person: Person) -> None:
    person.open(f"{deployment.relying_party('SECRET').url}/private/")
    set_by_provider = [
        cookie
        for page in person.pages
        if page.url.startswith(deployment.issuer)
        for cookie in page.headers.get_list("set-cookie")
    ]
    names = {cookie.partition("=")[0] for cookie in set_by_provider}
    assert {"__Host-authsvc_session", "__Host-authsvc_browser"} <= names
    for cookie in set_by_provider:
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert cookie.startswith("__Host-")
        assert {"secure", "path=/"} <= attributes
        assert not any(attribute.startswith("domain") for attribute in attributes)
        # The provider's own frame in a page of another site reads this one by script.
        readable = cookie.startswith("__Host-authsvc_browser_state=")
        assert {"httponly", "samesite=lax"} <= attributes or readable


def test_redirects_and_forms_stay_on_the_public_address(
    deployment: Deployment, person: Person
) -> None:
    person.open(f"{deployment.relying_party('SECRET').url}/private/")
    pages = [page for page in person.pages if page.url.startswith(f"{deployment.issuer}/")]
    assert len(pages) >= 4
    inner = f":{deployment.served.port}"
    for page in pages:
        assert inner not in page.text
        assert inner not in page.headers.get("location", "")
        for form in page.forms:
            assert form.action.startswith(f"{deployment.issuer}/")


def test_no_header_of_a_caller_moves_the_issuer(deployment: Deployment) -> None:
    headers = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=192.0.2.1;host=evil.example;proto=http",
    }
    url = f"{deployment.issuer}/.well-known/openid-configuration"
    with httpx.Client(verify=deployment.tls()) as http:
        asked_openly = http.get(url).raise_for_status()
        asked_by_trickster = http.get(url, headers=headers).raise_for_status()
        spoofed_host = http.get(url, headers={"Host": "evil.example"}).raise_for_status()
    assert asked_openly.json()["issuer"] == deployment.issuer
    assert asked_by_trickster.content == spoofed_host.content == asked_openly.content


def test_the_log_names_the_caller_and_not_the_proxy(deployment: Deployment) -> None:
    with deployment.person(address="127.0.0.9") as person:
        person.open(f"{deployment.issuer}/")
    deadline = time.monotonic() + 10
    while '"address":"127.0.0.9"' not in deployment.served.log.read_text():
        assert time.monotonic() < deadline, "the line is written after the answer"
        time.sleep(0.05)
