"""Dynamic OP: clients that register everything they are.

OpenID Connect Registration §2 to §5, RFC 7591 §3, RFC 7592 §2.
"""

from typing import Any

import pytest

from tests.certification.relying_party import CALLBACK, RelyingParty
from tests.certification.suite import (
    ALL_TYPES,
    HYBRID_TYPES,
    IMPLICIT_TYPES,
    Suite,
    registration_for,
)
from tests.client_keys import public_jwk
from tests.conftest import Backend, OpenProvider


async def _read(client: RelyingParty) -> Any:
    token = client.registration["registration_access_token"]
    return await client.suite.http.get(
        client.registration["registration_client_uri"],
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_a_registration_answers_all_that_was_registered(suite: Suite) -> None:
    wanted = registration_for("code", client_name="Certified", default_max_age=600)

    response = await suite.post_registration(wanted)

    content = response.json()
    assert response.status_code == 201
    assert content["client_id"]
    assert len(content["client_secret"]) >= 32
    assert content["client_secret_expires_at"] == 0 or (
        content["client_secret_expires_at"] > suite.now()
    )
    assert isinstance(content["client_id_issued_at"], int)
    assert {name: content[name] for name in wanted} == wanted
    assert content["id_token_signed_response_alg"] == "RS256"
    assert content["application_type"] == "web"
    assert content["subject_type"] == "public"
    assert content["registration_client_uri"].startswith(suite.issuer)
    assert content["registration_access_token"]


async def test_a_registration_needs_redirect_uris_alone(suite: Suite) -> None:
    response = await suite.post_registration({"redirect_uris": [CALLBACK]})
    assert response.status_code == 201
    content = response.json()
    assert content["response_types"] == ["code"]
    assert content["grant_types"] == ["authorization_code"]
    assert content["token_endpoint_auth_method"] == "client_secret_basic"
    await RelyingParty(suite, "code", content).sign_in()


async def test_unknown_members_are_ignored(suite: Suite) -> None:
    client = await suite.register(certification_suite={"version": 5}, favourite_colour="green")
    assert "favourite_colour" not in client.registration


@pytest.mark.parametrize("on", [True, False])
async def test_a_client_that_registers_all_it_knows_gets_what_there_is(
    sqlite_backend: Backend, open_providers: OpenProvider, on: bool
) -> None:
    """As mod_auth_openidc does; RFC 7591 §3.2.1 lets the server substitute, and say so."""
    provider = await open_providers(
        sqlite_backend, registration="open", implicit_flow=on, hybrid_flow=on
    )
    metadata = (await provider.http.get("/.well-known/openid-configuration")).json()
    suite = Suite(provider, await provider.create_user(), metadata)

    client = await suite.register(
        response_types=[*ALL_TYPES, "token", "none"],
        grant_types=["authorization_code", "implicit", "refresh_token", "password"],
    )

    assert set(client.registration["response_types"]) == set(ALL_TYPES if on else ["code"])
    grants = {"authorization_code", "refresh_token"} | ({"implicit"} if on else set())
    assert set(client.registration["grant_types"]) == grants
    await client.sign_in()


@pytest.mark.parametrize(
    "changes",
    [
        {"response_types": ["code"], "grant_types": ["implicit"]},
        {"response_types": ["id_token"], "grant_types": ["authorization_code"]},
        {"response_types": ["code id_token"], "grant_types": ["authorization_code"]},
        {"response_types": None, "grant_types": ["implicit", "refresh_token"]},
        {"response_types": ["token"], "grant_types": ["implicit"]},
        {"response_types": [3]},
    ],
)
async def test_flows_of_which_nothing_fits_are_refused(
    suite: Suite, changes: dict[str, Any]
) -> None:
    await suite.refuse_registration("invalid_client_metadata", **changes)


async def test_a_grant_that_no_response_type_needs_is_left_out(suite: Suite) -> None:
    both = ["authorization_code", "implicit"]
    client = await suite.register(grant_types=both)
    assert client.registration["grant_types"] == ["authorization_code"]
    client = await suite.register(grant_types=both, response_types=None)
    assert client.registration["response_types"] == ["code"]
    client = await suite.register("id_token", grant_types=both)
    assert client.registration["grant_types"] == ["implicit"]


@pytest.mark.parametrize("response_type", ALL_TYPES)
async def test_a_client_that_names_no_grants_gets_those_that_its_response_types_need(
    suite: Suite, response_type: str
) -> None:
    client = await suite.register(response_type, grant_types=None)
    assert client.registration["response_types"] == [response_type]
    needed = {"authorization_code"} if "code" in response_type.split() else set()
    needed |= {"implicit"} if "token" in response_type else set()
    assert set(client.registration["grant_types"]) == needed
    await client.sign_in()


async def test_a_member_that_is_empty_counts_as_absent(suite: Suite) -> None:
    empty = {"client_name": "", "logo_uri": "", "policy_uri": "", "tos_uri": "", "jwks_uri": ""}
    client = await suite.register(**empty, contacts=[])
    assert not (empty.keys() | {"contacts"}) & client.registration.keys()


async def test_names_for_languages_are_kept(suite: Suite) -> None:
    names = {"client_name#ja-Jpan-JP": "クライアント名", "tos_uri#de": "https://rp.example/agb"}
    client = await suite.register(**names)
    assert names.items() <= client.registration.items()


async def test_a_registration_can_be_read_replaced_and_deleted(suite: Suite) -> None:
    client = await suite.register()
    uri = client.registration["registration_client_uri"]
    token = client.registration["registration_access_token"]
    bearer = {"Authorization": f"Bearer {token}"}

    read = await _read(client)
    assert read.status_code == 200
    assert read.json()["client_id"] == client.client_id
    assert read.json()["client_secret_expires_at"] == 0
    wanted = registration_for("code", client_id=client.client_id, client_name="Renamed")
    replaced = await suite.http.put(uri, json=wanted, headers=bearer)
    assert (replaced.status_code, replaced.json()["client_name"]) == (200, "Renamed")
    bearer = {"Authorization": f"Bearer {replaced.json().get('registration_access_token', token)}"}
    assert (await suite.http.delete(uri, headers=bearer)).status_code == 204
    assert (await suite.http.get(uri, headers=bearer)).status_code == 401
    await client.refuse()


async def test_reading_a_registration_needs_its_token(suite: Suite) -> None:
    client, other = await suite.register(), await suite.register()
    uri = client.registration["registration_client_uri"]
    token = other.registration["registration_access_token"]
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        response = await suite.http.get(uri, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_redirect_uri_with_a_fragment_is_refused(suite: Suite) -> None:
    for uri in (f"{CALLBACK}#foobar", f"{CALLBACK}#"):
        await suite.refuse_registration("invalid_redirect_uri", redirect_uris=[uri])


async def test_redirect_uris_that_are_no_uris_are_refused(suite: Suite) -> None:
    for uri in ("/callback", "javascript:alert(1)", "http://rp.example/callback", "https:///x"):
        await suite.refuse_registration("invalid_redirect_uri", redirect_uris=[uri])


@pytest.mark.parametrize("uri", ["http://localhost/cb", "https://localhost:8443/cb"])
async def test_a_web_client_with_the_implicit_grant_is_not_on_localhost(
    suite: Suite, uri: str
) -> None:
    """OpenID Connect Registration §2, ``application_type``: the server MUST verify that."""
    for response_type in (*IMPLICIT_TYPES, *HYBRID_TYPES):
        await suite.refuse_registration("invalid_redirect_uri", response_type, redirect_uris=[uri])
    await suite.register("code", redirect_uris=[uri])
    native = {"redirect_uris": ["http://localhost/cb"], "application_type": "native"}
    await suite.register("id_token", **native)


@pytest.mark.parametrize(
    "changes",
    [
        {"response_types": ["pigeon"]},
        {"response_types": ["id_token"]},
        {"grant_types": ["pigeon"]},
        {"token_endpoint_auth_method": "pigeon"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"subject_type": "pigeon"},
        {"application_type": "pigeon"},
        {"id_token_signed_response_alg": "none"},
        {"id_token_signed_response_alg": "HS1"},
        {"jwks": {"keys": [public_jwk("RS256")]}, "jwks_uri": "https://rp.example/jwks"},
        {"jwks_uri": "http://rp.example/jwks"},
        {"sector_identifier_uri": "http://rp.example/sector"},
        {"request_uris": ["http://rp.example/request"]},
        {"initiate_login_uri": "http://rp.example/login"},
        {"backchannel_logout_uri": "https://rp.example/logout#now"},
        {"logo_uri": "javascript:alert(1)"},
        {"default_max_age": "1"},
        {"contacts": "me"},
    ],
)
async def test_metadata_that_can_not_be_is_refused(suite: Suite, changes: dict[str, Any]) -> None:
    await suite.refuse_registration("invalid_client_metadata", **changes)


async def test_logo_policy_and_terms_are_shown_to_the_person(suite: Suite) -> None:
    links = {"policy_uri": "https://rp.example/policy", "tos_uri": "https://rp.example/terms"}
    logo = {"logo_uri": "https://rp.example/logo.png", "client_uri": "https://rp.example/"}
    client = await suite.register(**links, **logo, client_name="Certified App")
    browser = suite.provider.browser()
    page = await client.visit(browser)
    values = {"username": suite.person.username, "password": suite.person.password}
    page = await browser.submit(page, values, button="#login-submit")
    assert page.has("#consent-approve")
    assert "Certified App" in page.text
    assert all(f'href="{uri}"' in page.text for uri in links.values())
    assert '<img class="logo"' in page.text


async def test_pairwise_subjects_of_two_hosts_need_a_sector(suite: Suite) -> None:
    await suite.refuse_registration(
        "invalid_client_metadata",
        subject_type="pairwise",
        redirect_uris=[CALLBACK, "https://another.example/callback"],
    )
