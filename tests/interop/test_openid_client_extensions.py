"""openid-client of npm and what a client must ask for: registration, request objects,
hybrid and device flows, encryption, pairwise subjects; see ``make interop``."""

import json
from typing import Any

import pytest

from tests.client_keys import public_jwk
from tests.interop.behind_tls import Deployment
from tests.interop.openid_client_app import register_and_run_app, run_app
from tests.interop.person import Person
from tests.interop.test_openid_client import (
    REDIRECT_URI,
    SCOPE,
    check_person,
    create_client,
    private_jwk,
)

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(
    "method", ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
)
def test_an_app_registers_itself_and_goes_the_whole_way(
    deployment: Deployment, person: Person, method: str
) -> None:
    registration: dict[str, Any] = {
        "client_name": "An app nobody knew",
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": method,
        "scope": SCOPE,
        "unheard_of": "is ignored",
    }
    given: dict[str, Any] = {}
    if method == "private_key_jwt":
        registration["jwks"] = {"keys": [public_jwk("ES256")]}
        given["signing"] = {"jwk": private_jwk("ES256"), "alg": "ES256"}
    steps = ["register", "read_registration", "sign_in", "userinfo", "refresh"]
    found = register_and_run_app(deployment, registration, steps, person=person, **given)
    registered = found["register"]
    check_person(deployment, registered, found)
    assert "unheard_of" not in registered
    assert registered["token_endpoint_auth_method"] == method
    assert found["read_registration"]["client_id"] == registered["client_id"]


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_a_signed_request_object_is_what_counts(
    deployment: Deployment, person: Person, alg: str
) -> None:
    client = create_client(
        deployment,
        request_object_signing_alg=alg,
        require_signed_request_object=True,
        jwks={"keys": [public_jwk(alg)]},
    )
    found = run_app(
        deployment,
        client,
        ["sign_in", "userinfo", "refresh"],
        person=person,
        request_object={"jwk": private_jwk(alg), "alg": alg},
    )
    assert found["sign_in"]["asked"].keys() == {"client_id", "request"}
    check_person(deployment, client, found)


@pytest.mark.parametrize(
    ("parameters", "back"), [({}, "fragment"), ({"response_mode": "form_post"}, "POST")]
)
def test_a_hybrid_answer_binds_code_and_state_to_its_id_token(
    deployment: Deployment, person: Person, parameters: dict[str, str], back: str
) -> None:
    client = create_client(
        deployment,
        response_types=["code id_token"],
        grant_types=["authorization_code", "implicit", "refresh_token"],
    )
    steps = ["sign_in", "userinfo", "refresh"]
    found = run_app(deployment, client, steps, person=person, flow="hybrid", parameters=parameters)
    assert found["sign_in"]["back"] == back
    check_person(deployment, client, found)


def test_an_implicit_answer_is_understood(deployment: Deployment, person: Person) -> None:
    client = create_client(
        deployment, response_types=["id_token"], grant_types=["implicit"], scope="openid email"
    )
    parameters = {"response_mode": "form_post"}
    steps = ["sign_in_without_code"]
    found = run_app(
        deployment, client, steps, person=person, flow="implicit", parameters=parameters
    )
    # Without an access token there is no userinfo: its claims come here (Core §5.4).
    assert found["sign_in_without_code"]["email"] == "anna@example.com"


@pytest.mark.parametrize(
    ("alg", "enc", "kind"),
    [("RSA-OAEP-256", "A256GCM", "RS256"), ("ECDH-ES", "A128CBC-HS256", "ES256")],
)
def test_what_is_encrypted_to_the_app_it_can_read(
    deployment: Deployment, person: Person, alg: str, enc: str, kind: str
) -> None:
    client = create_client(
        deployment,
        jwks={"keys": [public_jwk(kind, 1, use="enc", alg=alg)]},
        id_token_signed_response_alg="ES256",
        id_token_encrypted_response_alg=alg,
        id_token_encrypted_response_enc=enc,
        userinfo_signed_response_alg="ES256",
        userinfo_encrypted_response_alg=alg,
        userinfo_encrypted_response_enc=enc,
    )
    found = run_app(
        deployment,
        client,
        ["sign_in", "userinfo", "refresh"],
        person=person,
        decryption={"jwk": private_jwk(kind, 1), "alg": alg, "enc": enc},
    )
    sealed = found["sign_in"]["id_token"]
    assert (sealed["alg"], sealed["enc"], sealed["cty"]) == (alg, enc, "JWT")
    assert found["userinfo"]["email"] == "anna@example.com"


def test_userinfo_comes_signed_for_who_registered_it(
    deployment: Deployment, person: Person
) -> None:
    client = create_client(deployment, userinfo_signed_response_alg="RS256")
    found = run_app(deployment, client, ["sign_in", "userinfo"], person=person)
    userinfo = found["userinfo"]
    assert (userinfo["iss"], userinfo["aud"]) == (deployment.issuer, client["client_id"])
    assert userinfo["email"] == "anna@example.com"


def test_apps_with_pairwise_subjects_can_not_compare_them(
    deployment: Deployment, person: Person
) -> None:
    subjects = set()
    for host in ("one.example", "two.example"):
        redirect_uris = [f"https://{host}/callback"]
        client = create_client(deployment, redirect_uris=redirect_uris, subject_type="pairwise")
        found = run_app(deployment, client, ["sign_in", "userinfo"], person=person)
        subjects.add(found["userinfo"]["sub"])
    assert len(subjects) == 2


def test_the_claims_parameter_brings_claims_into_the_id_token(
    deployment: Deployment, person: Person
) -> None:
    client = create_client(deployment)
    claims = {"id_token": {"email": {"essential": True}, "auth_time": {"essential": True}}}
    parameters = {"claims": json.dumps(claims)}
    found = run_app(deployment, client, ["sign_in"], person=person, parameters=parameters)
    assert found["sign_in"]["claims"]["email"] == "anna@example.com"
    assert isinstance(found["sign_in"]["claims"]["auth_time"], int)


DEVICE_GRANTS = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]


def test_a_device_is_connected_by_its_person(deployment: Deployment, person: Person) -> None:
    client = create_client(deployment, grant_types=DEVICE_GRANTS, response_types=[])
    steps = ["connect_device", "userinfo", "refresh"]
    found = run_app(deployment, client, steps, person=person)
    assert found["connect_device"]["claims"]["iss"] == deployment.issuer
    assert found["userinfo"]["email"] == "anna@example.com"


def test_a_device_learns_that_its_person_said_no(deployment: Deployment) -> None:
    client = create_client(deployment, grant_types=DEVICE_GRANTS, response_types=[])
    with deployment.person(allows=False) as person:
        found = run_app(deployment, client, ["be_refused_as_device"], person=person)
    assert found["be_refused_as_device"]["error"] == "access_denied"
