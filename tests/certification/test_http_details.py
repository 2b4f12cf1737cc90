"""What a literal reader of RFC 6749, RFC 6750 and RFC 7591 looks at in each response."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.certification.relying_party import CALLBACK, JSON
from tests.certification.suite import Suite, registration_for


async def _post(suite: Suite, data: Mapping[str, Any], **options: Any) -> httpx.Response:
    return await suite.http.post(suite.metadata["token_endpoint"], data=dict(data), **options)


def _check_error(response: httpx.Response, status: int, error: str) -> None:
    assert response.status_code == status, response.text
    assert response.json()["error"] == error
    assert response.headers["content-type"].partition(";")[0] == JSON
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"


async def test_a_client_that_fails_with_basic_is_challenged_with_basic(suite: Suite) -> None:
    client = await suite.register()
    data = {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK}
    for auth in ((client.client_id, "wrong"), ("unknown", "wrong")):
        response = await _post(suite, data, auth=auth)
        _check_error(response, 401, "invalid_client")
        assert response.headers["www-authenticate"].startswith("Basic realm=")


async def test_a_client_that_fails_in_the_body_is_an_invalid_client(suite: Suite) -> None:
    client = await suite.register(token_endpoint_auth_method="client_secret_post")
    data = {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK}
    for who in (
        {"client_id": client.client_id, "client_secret": "wrong"},
        {"client_id": client.client_id},
        {"client_id": "unknown", "client_secret": "wrong"},
        {"client_id": "unknown"},
        {},
    ):
        response = await _post(suite, data | who)
        _check_error(response, 401, "invalid_client")


async def test_a_client_does_not_authenticate_by_another_method_or_by_two(suite: Suite) -> None:
    client = await suite.register()
    secret = client.registration["client_secret"]
    data = {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK}
    in_body = {"client_id": client.client_id, "client_secret": secret}
    _check_error(await _post(suite, data | in_body), 401, "invalid_client")
    both = await _post(suite, data | in_body, auth=(client.client_id, secret))
    _check_error(both, 400, "invalid_request")  # RFC 6749 §2.3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "telepathy"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "unauthorized_client"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
        ({"code": None}, "invalid_request"),
        ({"code": "unknown"}, "invalid_grant"),
    ],
)
async def test_each_error_of_the_token_endpoint_has_its_code(
    suite: Suite, changes: dict[str, Any], error: str
) -> None:
    client = await suite.register()
    request = {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK}
    _check_error(await client.call_token(**(request | changes)), 400, error)


async def test_a_refresh_for_more_scope_is_an_invalid_scope(suite: Suite) -> None:
    client = await suite.register(grant_types=["authorization_code", "refresh_token"])
    tokens = (await client.sign_in(scope="openid offline_access", prompt="consent")).tokens
    response = await client.call_token(
        grant_type="refresh_token", refresh_token=tokens["refresh_token"], scope="openid email"
    )
    _check_error(response, 400, "invalid_scope")


async def test_a_parameter_sent_twice_is_an_invalid_request(suite: Suite) -> None:
    client = await suite.register()
    secret = client.registration["client_secret"]
    response = await suite.http.post(
        suite.metadata["token_endpoint"],
        content="grant_type=authorization_code&code=a&code=b",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        auth=(client.client_id, secret),
    )
    _check_error(response, 400, "invalid_request")


async def test_the_token_endpoint_answers_post_alone(suite: Suite) -> None:
    response = await suite.http.get(suite.metadata["token_endpoint"])
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_a_wrong_client_is_shown_to_the_person(suite: Suite) -> None:
    client = await suite.register()
    for client_id in ("unknown", None):
        await client.refuse(client_id=client_id)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": None}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"claims": "not json"}, "invalid_request"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"id_token_hint": "nonsense"}, "invalid_request"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "plain"}, "invalid_request"),
    ],
)
async def test_each_error_of_the_authorization_endpoint_has_its_code(
    suite: Suite, changes: dict[str, Any], error: str
) -> None:
    client = await suite.register()
    answer = await client.authorize(**changes)
    assert answer.error == error
    assert answer.channel == "query"
    assert "error_description" in answer


async def test_errors_and_successes_both_name_the_issuer(suite: Suite) -> None:
    client = await suite.register("code id_token")
    assert (await client.authorize())["iss"] == suite.issuer
    assert (await client.authorize(prompt="none"))["iss"] == suite.issuer


async def test_a_registration_is_created_and_kept_by_nobody(suite: Suite) -> None:
    response = await suite.post_registration(registration_for())
    assert response.status_code == 201
    assert response.headers["content-type"].partition(";")[0] == JSON
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"


@pytest.mark.parametrize("body", ["", "[]", "not json", '"text"'])
async def test_a_registration_that_is_no_object_is_refused(suite: Suite, body: str) -> None:
    response = await suite.http.post(
        suite.metadata["registration_endpoint"], content=body, headers={"Content-Type": JSON}
    )
    assert response.status_code == 400
    assert response.json()["error"] in ("invalid_client_metadata", "invalid_request")


async def test_userinfo_without_openid_lacks_scope(suite: Suite) -> None:
    client = await suite.register()
    answer = await client.authorize(scope="profile", nonce=None)
    tokens = await client.tokens(answer)
    assert "id_token" not in tokens
    response = await suite.http.get(
        suite.metadata["userinfo_endpoint"],
        headers={"Authorization": f"Bearer {tokens['access_token']}"},
    )
    assert response.status_code == 403
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith("Bearer")
    assert 'error="insufficient_scope"' in challenge


async def test_the_endpoints_of_tokens_answer_scripts_of_other_origins(suite: Suite) -> None:
    for name in ("token_endpoint", "userinfo_endpoint", "jwks_uri"):
        response = await suite.http.options(
            suite.metadata[name],
            headers={
                "Origin": "https://spa.example",
                "Access-Control-Request-Method": "POST" if name == "token_endpoint" else "GET",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "*"
