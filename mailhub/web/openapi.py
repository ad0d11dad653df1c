"""The JSON API described: OpenAPI 3.1 for programs, a page for people. Both are made from the views themselves."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from pyramid.config import Configurator
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED

from mailhub.security.permissions import SCOPES
from mailhub.web.api import Operation, operations

_PARAMETER = re.compile(r"{(\w+)}")
_REFUSALS = {
    "400": "The document or a parameter could not be read.",
    "401": "No valid key.",
    "403": "The key's scopes do not allow this.",
    "404": "There is no such object in the key's project.",
    "409": "The object's state does not allow this; `detail` and `errors` say why.",
    "422": "Some fields are wrong; `errors` names each.",
    "429": "Too many requests; `Retry-After` says when to go on.",
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem document.",
    "required": ["type", "title", "status", "detail", "errors", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                "required": ["field", "message"],
            },
        },
        "request_id": {"type": "string"},
    },
}


@dataclass(frozen=True)
class Described:
    """An operation with its path, for the page."""

    operation: Operation
    path: str
    scopes: list[str]
    body: list[tuple[str, dict[str, Any], bool]]
    query: list[tuple[str, dict[str, Any], bool]]
    example: str

    @property
    def anchor(self) -> str:
        return f"{self.operation.method.lower()}-{self.operation.route_name.removeprefix('api.')}"

    @property
    def group(self) -> str:
        return self.path.removeprefix("/api/v1/").split("/")[0]


def document(
    registry: Any,
    *,
    description: str = "Lists, subscribers, imports, campaigns, single letters and statistics of one project.",
    url: str = "",
    key: str = "A project's key: mh_…",
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of this process's API, the site's unless something else is said."""
    known = operations(registry)
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    for one in known:
        models += [(model, "validation") for model in (one.body, one.query) if model is not None]
        models += [(one.answer, "serialization")] if one.answer is not None else []
    references, definitions = models_json_schema(
        list(dict.fromkeys(models)), ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for one in known:
        path = _path(registry, one)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, path, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mailhub",
            "version": "1",
            "description": description,
        },
        "servers": [{"url": url or registry.mailhub.public_url}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": key}},
            "schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM},
        },
    }


def _path(registry: Any, operation: Operation) -> str:
    mapper = registry.queryUtility(IRoutesMapper)
    pattern: str = mapper.get_route(operation.route_name).pattern
    return "/" + pattern.lstrip("/")


def _operation(one: Operation, path: str, references: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]
    if one.query is not None:
        for name, schema, required in _fields(one.query):
            parameters.append({"name": name, "in": "query", "required": required, "schema": schema})
    described: dict[str, Any] = {
        "operationId": f"{one.route_name.removeprefix('api.')}_{one.method.lower()}",
        "summary": one.summary,
        "tags": [path.removeprefix("/api/v1/").split("/")[0]],
        "parameters": parameters,
        "responses": {str(one.status): _answer(one, references)},
        "x-scopes": _scopes(one),
    }
    if one.body is not None:
        content = {"application/json": {"schema": references[(one.body, "validation")]}}
        described["requestBody"] = {"required": True, "content": content}
    elif one.form is not None:
        properties = {
            name: {"type": "string", "description": text} | ({"format": "binary"} if name == "file" else {})
            for name, text in one.form.items()
        }
        schema = {"type": "object", "properties": properties, "required": ["file"]}
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, text in _REFUSALS.items():
        described["responses"][status] = {"description": text, "content": problem}
    return described


def _answer(one: Operation, references: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    if one.status == 204:
        return {"description": "Done."}
    if one.answer is None:
        return {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}}
    schema = references[(one.answer, "serialization")]
    if one.many:
        schema = {
            "type": "object",
            "required": ["results"],
            "properties": {
                "results": {"type": "array", "items": schema},
                "next": {"type": ["string", "null"], "description": "The URL of the next page."},
                "count": {"type": "integer", "description": "Where it is cheap and exact."},
            },
        }
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _fields(model: type[BaseModel]) -> list[tuple[str, dict[str, Any], bool]]:
    schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    required = set(schema.get("required", ()))
    return [(name, field, name in required) for name, field in schema.get("properties", {}).items()]


def _scopes(one: Operation) -> list[str]:
    return [scope for scope, granted in SCOPES.items() if one.permission in granted]


def _example(registry: Any, one: Operation, path: str) -> str:
    url = registry.mailhub.public_url + _PARAMETER.sub("1", path)
    lines = ["curl -H 'Authorization: Bearer mh_…'"]
    if one.method != "GET":
        lines[0] += f" -X {one.method}"
    if one.body is not None:
        wanted = {name: _sample(field) for name, field, required in _fields(one.body) if required}
        lines += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(wanted, ensure_ascii=False)}'"]
    elif one.form is not None:
        lines += [f"-F '{name}={'@people.csv' if name == 'file' else '…'}'" for name in one.form]
    return " \\\n  ".join([*lines, f"'{url}'"])


def _sample(schema: dict[str, Any]) -> Any:
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    samples: dict[str, Any] = {"array": [], "object": {}, "integer": 1, "number": 1, "boolean": True}
    return samples.get(schema.get("type", "string"), "…")


def _described(registry: Any) -> list[Described]:
    found = []
    for one in operations(registry):
        path = _path(registry, one)
        body = _fields(one.body) if one.body is not None else []
        if one.form is not None:
            body = [(name, {"description": text, "type": "file"}, name == "file") for name, text in one.form.items()]
        query = _fields(one.query) if one.query is not None else []
        found.append(Described(one, path, _scopes(one), body, query, _example(registry, one, path)))
    return sorted(found, key=lambda one: (one.group, one.path, one.operation.method))


def kind_of(schema: dict[str, Any]) -> str:
    """A field's type in a word or two."""
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(kind_of(one) for one in schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"[{kind_of(schema.get('items', {}))}]"
    return str(schema.get("format") or schema.get("type", "any"))


def openapi(request: Request) -> dict[str, Any]:
    return document(request.registry)


def reference(request: Request) -> dict[str, Any]:
    groups: dict[str, list[Described]] = {}
    for one in _described(request.registry):
        groups.setdefault(one.group, []).append(one)
    return {"groups": groups, "kind_of": kind_of, "base_url": request.registry.mailhub.public_url + "/api/v1"}


def includeme(config: Configurator) -> None:
    config.add_view(openapi, route_name="api.openapi", renderer="json", permission=NO_PERMISSION_REQUIRED)
    config.add_view(
        reference, route_name="api.reference", renderer="api/reference.html", permission=NO_PERMISSION_REQUIRED
    )
