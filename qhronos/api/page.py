"""An OpenAPI description as one page of HTML. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from html import escape
from typing import Any

from qhronos.api.sample import sample

METHODS = ("get", "post", "put", "patch", "delete")
LIMITS = {
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "exclusiveMinimum": "> {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} long",
    "maxLength": "at most {} long",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "like {}",
}


def render(api: dict[str, Any], version: str) -> str:
    operations = list(_operations(api))
    tags = [tag for tag in api["tags"] if any(tag["name"] in operation["tags"] for operation in operations)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Qhronos API</title>
<link rel="icon" type="image/svg+xml" href="/schema/docs.svg?{escape(version)}">
<link rel="stylesheet" href="/schema/docs.css?{escape(version)}">
<script defer src="/schema/docs.js?{escape(version)}"></script>
</head>
<body>
<a class="skip" href="#top">Skip to the content</a>
<nav aria-label="Routes">
<p class="name">Qhronos <small>{escape(version)}</small></p>
<input id="filter" type="search" placeholder="Filter routes" aria-label="Filter routes">
{"".join(_contents(tag, operations) for tag in tags)}
<h2><a href="#schemas">schemas</a></h2>
</nav>
<main id="top">
<h1>Qhronos API</h1>
{_prose(api["info"]["description"])}
<p><a href="/schema/openapi.json">openapi.json</a></p>
<form id="credentials" class="try">
<label>Token <input id="token" type="password" autocomplete="off" spellcheck="false"></label>
<p class="hint">For the forms below. It stays in the memory of this page and is gone when you leave.</p>
</form>
{"".join(_section(tag, operations, api) for tag in tags)}
<section id="schemas"><h2>Schemas</h2>
{"".join(_schema(name, schema) for name, schema in sorted(api["components"]["schemas"].items()))}
</section>
</main>
</body>
</html>
"""


def _operations(api: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in api["paths"].items():
        for method in METHODS:
            if method in methods:
                yield {**methods[method], "path": path, "method": method}


def _contents(tag: dict[str, Any], operations: list[dict[str, Any]]) -> str:
    links = "".join(
        f'<li><a href="#{op["operationId"]}">{_badge(op)} <span>{escape(op["path"])}</span></a></li>'
        for op in operations
        if tag["name"] in op["tags"]
    )
    return f'<h2><a href="#tag-{tag["name"]}">{tag["name"]}</a></h2><ul>{links}</ul>'


def _section(tag: dict[str, Any], operations: list[dict[str, Any]], api: dict[str, Any]) -> str:
    inside = "".join(_operation(op, api) for op in operations if tag["name"] in op["tags"])
    return f"""<section id="tag-{tag["name"]}"><h2>{escape(tag["name"].capitalize())}</h2>
{_prose(tag["description"])}
{inside}</section>
"""


def _operation(op: dict[str, Any], api: dict[str, Any]) -> str:
    return f"""<details class="operation" id="{op["operationId"]}">
<summary>{_badge(op)} <code>{escape(op["path"])}</code> <span>{escape(op["summary"] or "")}</span></summary>
{_prose(op["description"])}
{_parameters(op)}
{_request(op, api)}
{_answers(op)}
<h4>Example</h4>
<pre><code class="curl">{escape(_curl(op, api))}</code></pre>
{_form(op, api)}
</details>
"""


def _badge(op: dict[str, Any]) -> str:
    return f'<b class="method {op["method"]}">{op["method"].upper()}</b>'


def _parameters(op: dict[str, Any]) -> str:
    rows = "".join(
        _row(p["name"], p["schema"], required=p.get("required", False), place=p["in"], about=p.get("description", ""))
        for p in op["parameters"]
    )
    return f"<h4>Parameters</h4><table>{rows}</table>" if rows else ""


def _request(op: dict[str, Any], api: dict[str, Any]) -> str:
    if "requestBody" not in op:
        return ""
    schema = op["requestBody"]["content"]["application/json"]["schema"]
    named = api["components"]["schemas"].get(_name(schema), {}) if "$ref" in schema else {}
    return f"<h4>Body</h4><p>{_kind(schema)}</p>{_fields(named)}"


def _answers(op: dict[str, Any]) -> str:
    good = [
        f"<tr><th>{status}</th><td>{_answer(told)}</td></tr>"
        for status, told in op["responses"].items()
        if "$ref" not in told
    ]
    refusals = ", ".join(
        f"{status} {escape(_name(told))}" for status, told in op["responses"].items() if "$ref" in told
    )
    told = (
        f'<p class="hint">Refusals, each a <a href="#schema-Problem">Problem</a>: {refusals}.</p>' if refusals else ""
    )
    return f"<h4>Answers</h4><table>{''.join(good)}</table>{told}"


def _answer(told: dict[str, Any]) -> str:
    kinds = [_kind(content["schema"]) for content in told.get("content", {}).values()]
    return " or ".join(kinds) or "nothing"


def _schema(name: str, schema: dict[str, Any]) -> str:
    inside = _fields(schema) or f"<p>{_kind(schema)}</p>"
    about = _prose(schema.get("description", ""))
    return (
        f'<details class="schema" id="schema-{escape(name)}"><summary>{escape(name)}</summary>{about}{inside}</details>'
    )


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [_row(name, part, required=name in required) for name, part in schema.get("properties", {}).items()]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _row(name: str, schema: dict[str, Any], *, required: bool, place: str = "", about: str = "") -> str:
    marks = " ".join(mark for mark in (place, "required" if required else "") if mark)
    about = about or _about(schema)
    default = schema.get("default")
    told = f" Default <code>{escape(json.dumps(default))}</code>." if default not in (None, [], (), {}) else ""
    return (
        f'<tr><th><code>{escape(name)}</code> <small>{marks}</small></th><td><span class="kind">{_kind(schema)}</span>'
        f"{_inline(about)}{told}</td></tr>"
    )


def _about(schema: dict[str, Any]) -> str:
    """A description stands on the type that is asked for, which may be one of several."""
    inner = [option.get("description", "") for option in schema.get("anyOf", [])]
    return str(schema.get("description") or next(filter(None, inner), ""))


def _kind(schema: dict[str, Any]) -> str:
    """What may stand there, in a few words."""
    if "$ref" in schema:
        name = escape(_name(schema))
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    limits = [told.format(schema[key]) for key, told in LIMITS.items() if key in schema]
    word = schema.get("format") or schema.get("type", "anything")
    if word == "array":
        word = f"list of {_kind(schema.get('items', {}))}"
    elif word == "object" and isinstance(schema.get("additionalProperties"), dict):
        word = f"object of {_kind(schema['additionalProperties'])}"
    return ", ".join([word, *(escape(limit) for limit in limits)])


def _name(ref: dict[str, Any]) -> str:
    return str(ref["$ref"].rsplit("/", 1)[1])


def _curl(op: dict[str, Any], api: dict[str, Any]) -> str:
    method = "" if op["method"] == "get" else f" -X {op['method'].upper()}"
    lines = [f'curl{method} "http://127.0.0.1:8080{op["path"]}"']
    if op["security"]:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    if "requestBody" in op:
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(_sample_text(op, api))}"]
    return " \\\n  ".join(lines)


def _form(op: dict[str, Any], api: dict[str, Any]) -> str:
    inputs = "".join(
        f'<label>{escape(p["name"])} <input name="{escape(p["name"])}" data-in="{p["in"]}" autocomplete="off"'
        f"{' required' if p.get('required') else ''}></label>"
        for p in op["parameters"]
    )
    if "requestBody" in op:
        sample = escape(_sample_text(op, api))
        inputs += f'<label>Body <textarea name="body" rows="8" spellcheck="false">{sample}</textarea></label>'
    return f"""<form class="try" data-method="{op["method"].upper()}" data-path="{escape(op["path"])}">
{inputs}<button>Send</button>
<output></output>
</form>"""


def _sample_text(op: dict[str, Any], api: dict[str, Any]) -> str:
    content = op["requestBody"]["content"]["application/json"]
    example = content["example"] if "example" in content else sample(content["schema"], api["components"]["schemas"])
    return json.dumps(example, indent=2)


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part.strip())


def _inline(text: str) -> str:
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", marked)
