"""The OpenAPI document says what is routed, no more and no less."""

import re
from typing import Any

import pytest
from pydantic import BaseModel

from authsvc.web.admin.openapi import openapi_document
from authsvc.web.admin.operations import PREFIX
from authsvc.web.admin.routes import OPERATIONS, admin_routes
from tests.conftest import Backend, OpenProvider
from tests.provider import Provider
from tests.web.admin import open_admin

ISSUER = "https://id.example/tenant"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document(ISSUER)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for child in node.values() for ref in references(child)]
    if isinstance(node, list):
        return [ref for child in node for ref in references(child)]
    return []


async def test_routes_and_document_agree(
    sqlite_provider: Provider, document: dict[str, Any]
) -> None:
    routed = {
        (method, route.path)
        for route in admin_routes(sqlite_provider.server)
        for method in (route.methods or set()) - {"HEAD"}
    }
    documented = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }

    assert routed == documented
    assert len(routed) == len(OPERATIONS)


async def test_every_documented_operation_is_reached_over_http(
    sqlite_provider: Provider, document: dict[str, Any]
) -> None:
    await open_admin(sqlite_provider)
    for path, operations in document["paths"].items():
        for method in operations:
            response = await sqlite_provider.http.request(method.upper(), path)
            assert response.status_code == 401, (method, path)


def test_the_document_is_whole(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    used = set(references(document))
    operations = [o for path in document["paths"].values() for o in path.values()]
    ids = [operation["operationId"] for operation in operations]

    assert document["openapi"].startswith("3.1.")
    assert document["servers"] == [{"url": ISSUER}]
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert used == {f"#/components/schemas/{name}" for name in schemas}
    assert len(set(ids)) == len(ids)
    for path, path_item in document["paths"].items():
        named = re.findall(r"{(\w+)}", path)
        for operation in path_item.values():
            parameters = operation.get("parameters", [])
            assert [p["name"] for p in parameters if p["in"] == "path"] == named
            assert {"401", "403", "429", "503"} <= operation["responses"].keys()


def test_creations_document_the_idempotency_key(document: dict[str, Any]) -> None:
    for operation in OPERATIONS:
        described = document["paths"][PREFIX + operation.path][operation.method.lower()]
        names = [parameter["name"] for parameter in described.get("parameters", [])]
        assert ("Idempotency-Key" in names) is operation.creates
        assert ("requestBody" in described) is (operation.body is not None)
        assert str(operation.status) in described["responses"]


def test_every_schema_says_what_it_is_and_no_member_is_a_hash(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert "hash" not in str(schema.get("properties", {})), name
        assert schema.get("description") or name.startswith("Page_"), name


async def test_answers_fit_their_schemas(sqlite_provider: Provider) -> None:
    admin = await open_admin(sqlite_provider)
    user = await admin.create_user("ada")
    kid = (await admin.get("/keys"))["items"][0]["kid"]
    names = {"user_id": user["id"], "role": "admin", "client_id": "the-admin", "kid": kid}
    seen = 0
    for operation in OPERATIONS:
        if operation.method != "GET" or "{session_id}" in operation.path:
            continue
        if operation.path == "/users/{user_id}/roles/{role}":
            await admin.call("PUT", operation.path.format(**names))
        answer = await admin.get(operation.path.format(**names))
        model = operation.answer
        assert model is not None
        assert issubclass(model, BaseModel)
        assert model.model_validate(answer).model_dump(mode="json", exclude_unset=True) == answer
        seen += 1
    assert seen == 14


async def test_the_document_is_served(sqlite_provider: Provider) -> None:
    response = await sqlite_provider.http.get("/openapi.json")

    assert response.status_code == 200
    assert response.json() == openapi_document(sqlite_provider.settings.issuer)


async def test_an_issuer_with_a_path_has_the_api_below_it(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(sqlite_backend, issuer="http://127.0.0.1:8000/a/b")
    admin = await open_admin(provider)

    created = await admin.call("POST", "/roles", json={"name": "x/y"})

    assert created.headers["location"] == "/a/b/admin/v1/roles/x%2Fy"
    shown = await provider.http.get(
        created.headers["location"].removeprefix("/a/b"),
        headers={"Authorization": f"Bearer {admin.token}"},
    )
    assert shown.status_code == 200


async def test_the_api_is_limited_per_address(
    sqlite_backend: Backend, open_providers: OpenProvider
) -> None:
    provider = await open_providers(
        sqlite_backend, rate_limits=True, rate_limit_admin_address="2/minute"
    )

    statuses = [(await provider.http.get("/admin/v1/users")).status_code for _ in range(3)]

    assert statuses == [401, 401, 429]
