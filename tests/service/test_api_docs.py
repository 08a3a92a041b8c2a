from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from qhronos.api.auth import Access
from qhronos.api.sample import sample
from tests.service.test_api_access import ROUTES

HIDDEN = "/schema"


@pytest.fixture
async def described(api) -> dict[str, Any]:
    return (await api.get("/schema/openapi.json", token=None)).json()


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
    }


def refs(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*(refs(part) for part in node))
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(refs(part) for part in node.values()))
    return set()


async def test_every_route_is_described_with_its_access(described):
    documented = {route: access for route, access in ROUTES.items() if HIDDEN not in route}
    said = operations(described)

    assert set(documented) == set(said)
    for route, access in documented.items():
        assert (access is Access.PUBLIC) == (said[route]["security"] == []), route
        assert said[route]["summary"], route
        assert said[route]["tags"], route
    assert len(said) == len({operation["operationId"] for operation in said.values()})


async def test_the_description_refers_to_nothing_that_is_missing(described):
    for ref in refs(described):
        node = described
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]

    assert "3.1.0" == described["openapi"]


async def test_path_parameters_are_declared(described):
    for route, operation in operations(described).items():
        declared = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}

        assert set(re.findall(r"{(\w+)}", route)) == declared, route


async def test_every_schema_is_a_valid_one_and_takes_its_example(described):
    for name, schema in described["components"]["schemas"].items():
        meta.validate(schema)
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    for route, operation in operations(described).items():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" in content:
            validator = Draft202012Validator({**described, **content["schema"]})

            assert [] == list(validator.iter_errors(content["example"])), route


async def test_the_examples_work_as_they_are(api, described):
    answers = {}
    for path, status in {"/events": 201, "/events/bulk": 200, "/tokens": 200}.items():
        example = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        answers[path] = await api.post(path, example)

        assert status == answers[path].status_code, answers[path].text
    event = answers["/events"].json()["id"]
    for method in ("put", "patch"):
        content = described["paths"]["/events/{event_id}"][method]["requestBody"]["content"]["application/json"]

        assert 200 == (await api.send(method.upper(), f"/events/{event}", json=content["example"])).status_code


async def test_what_answers_say_is_what_they_are(api, described):
    await api.post("/tokens", {"sub": "ada", "access": "read", "scope": ["a"], "expires_in": 60})
    for path in ("/tokens", "/audit", "/stats", "/status", "/readyz", "/timezones"):
        answer = (await api.get(path)).json()
        schema = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

        assert [] == list(Draft202012Validator({**described, **schema}).iter_errors(answer)), path


async def test_a_refusal_is_what_the_description_says(api, described):
    answer = (await api.post("/tokens", {"sub": 7})).json()

    validator = Draft202012Validator({**described, "$ref": "#/components/schemas/Problem"})

    assert [] == list(validator.iter_errors(answer))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "format": "uuid"}, "00000000-0000-0000-0000-000000000000"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"enum": ["a", "b"]}, "a"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, False),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, [1]),
        ({"type": "object", "properties": {"a": {"type": "number"}, "b": {}}, "required": ["a"]}, {"a": 1}),
        ({}, None),
    ],
)
def test_a_sample_is_the_least_that_a_schema_takes(schema, value):
    assert value == sample(schema, {})
    assert Draft202012Validator(schema).is_valid(value)


def test_a_schema_that_refers_to_itself_has_a_sample_too():
    tree = {"type": "object", "properties": {"child": {"$ref": "#/x/Tree"}}, "required": ["child"]}

    assert isinstance(sample(tree, {"Tree": tree}), dict)


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.loaded += [given[name] for name in ("src", "href") if name in given and tag in ("script", "link", "img")]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []


async def test_the_page_shows_every_route_and_loads_only_what_is_ours(api, described):
    response = await api.get("/schema", token=None)
    page = Page()
    page.feed(response.text)

    assert {operation["operationId"] for operation in operations(described).values()} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert [] == page.inline
    for asset in page.loaded:
        assert asset.startswith("/schema/")
        assert 200 == (await api.get(asset, token=None)).status_code
    assert "http" not in "".join(page.loaded)


async def test_a_browser_is_told_to_load_nothing_else(api):
    for path in ("/schema", "/schema/docs.css", "/schema/docs.js", "/schema/docs.svg", "/schema/openapi.json"):
        headers = (await api.get(path, token=None)).headers

        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "nosniff" == headers["X-Content-Type-Options"]
