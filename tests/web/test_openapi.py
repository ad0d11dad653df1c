"""The API's description: complete, and without loose references."""

import json

from pyramid.interfaces import IRoutesMapper


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_api_route_is_described_and_every_reference_resolves(client):
    document = client.get("/api/v1/openapi.json").json
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    routes = client.registry.getUtility(IRoutesMapper).get_routes()
    expected = {"/" + r.pattern.lstrip("/") for r in routes if r.name.startswith("api.")}
    expected -= {"/api/v1/openapi.json", "/docs/api"}
    assert expected == set(document["paths"])


def test_operation_ids_are_unique(client):
    document = client.get("/api/v1/openapi.json").json
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))
    assert json.dumps(document)


def test_the_reference_is_for_everybody(client):
    answer = client.get("/docs/api")
    assert "Authorization: Bearer" in answer.text
