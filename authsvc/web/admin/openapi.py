"""The OpenAPI 3.1 document of the admin API, made from the table that is routed."""

import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.web.admin.idempotency import HEADER
from authsvc.web.admin.operations import PREFIX, Operation, View
from authsvc.web.admin.routes import OPERATIONS

_REFERENCE: Final = "#/components/schemas/{model}"
_SECURITY: Final = "bearer"
_EVERYWHERE: Final = (401, 403, 429, 503)
_REASONS: Final = {
    400: "The request is malformed, or a value is not acceptable.",
    401: "The access token is missing, invalid, revoked, or for another audience.",
    403: f"The subject of the access token lacks the permission {ADMIN_PERMISSION}.",
    404: "There is no such thing.",
    409: "It clashes with what is there, or the Idempotency-Key was used for something else.",
    415: "The body is not application/json.",
    429: "Too many requests; Retry-After says when to come back.",
    503: "A dependency is away; Retry-After says when to come back.",
}


class Error(View):
    """An error (RFC 6749 §5.2)."""

    error: str
    error_description: str


def openapi_document(issuer: str) -> dict[str, Any]:
    """Return the document for the server whose issuer identifier is ``issuer``."""
    references, schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        described = _describe(operation, references)
        paths.setdefault(f"{PREFIX}{operation.path}", {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "authsvc admin API",
            "version": "1",
            "description": "Users, roles, clients, signing keys, sessions and the audit log. "
            "Names in a path are percent-encoded, slashes included.",
        },
        "servers": [{"url": issuer}],
        "security": [{_SECURITY: []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                _SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token whose audience is the issuer and whose "
                    f"subject holds the permission {ADMIN_PERMISSION}.",
                }
            },
        },
    }


def _schemas() -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return a reference to each model's schema, and the schemas themselves."""
    bodies = {operation.body for operation in OPERATIONS if operation.body}
    answers = {operation.answer for operation in OPERATIONS if operation.answer} | {Error}
    modes: list[tuple[type[BaseModel], Any]] = [
        *((model, "validation") for model in sorted(bodies, key=_name)),
        *((model, "serialization") for model in sorted(answers, key=_name)),
    ]
    found, definitions = models_json_schema(modes, ref_template=_REFERENCE)
    return {model: schema for (model, _), schema in found.items()}, definitions["$defs"]


def _describe(operation: Operation, references: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "responses": {
            str(operation.status): _response("Done.", references.get(operation.answer)),
            **_errors(operation, references[Error]),
        },
    }
    if parameters := list(_parameters(operation)):
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": any(f.is_required() for f in operation.body.model_fields.values()),
            "content": {"application/json": {"schema": references[operation.body]}},
        }
    return described


def _errors(operation: Operation, schema: Any) -> dict[str, Any]:
    statuses = sorted({*operation.errors, *_EVERYWHERE})
    return {str(status): _response(_REASONS[status], schema) for status in statuses}


def _response(description: str, schema: Any | None) -> dict[str, Any]:
    if schema is None:
        return {"description": description}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name, meaning in operation.query.items():
        kind = "integer" if name == "limit" else "string"
        yield {"name": name, "in": "query", "description": meaning, "schema": {"type": kind}}
    if operation.creates:
        yield {
            "name": HEADER,
            "in": "header",
            "description": "A repetition with the same key gets the same answer.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }


def _operation_id(operation: Operation) -> str:
    words = re.findall(r"\w+", operation.path.replace("-", "_"))
    return "_".join((operation.method.lower(), *words))


def _name(model: type[BaseModel]) -> str:
    return model.__name__
