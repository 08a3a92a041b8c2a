"""A value that a JSON schema takes, as small as can be. Pure."""

from __future__ import annotations

from typing import Any

DEEPEST = 6  # schemas may refer to themselves
BY_FORMAT: dict[str | None, Any] = {
    "date-time": "2030-01-01T09:00:00Z",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
BY_TYPE: dict[str | None, Any] = {"string": "text", "boolean": False, "integer": 1, "number": 1}


def sample(schema: dict[str, Any], components: dict[str, Any], depth: int = 0) -> Any:
    """`components` are the schemas that `$ref` names."""
    if depth > DEEPEST:
        return None
    inner = _one_of(schema, components)
    if inner is not None:
        return sample(inner, components, depth + 1)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        wanted = schema.get("required", [])
        return {name: sample(schema["properties"][name], components, depth + 1) for name in wanted}
    if schema.get("type") == "array":
        return [sample(schema["items"], components, depth + 1)] if schema.get("minItems") else []
    return _simple(schema)


def _one_of(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any] | None:
    """What the schema stands for, if it stands for another."""
    if "$ref" in schema:
        named: dict[str, Any] = components[schema["$ref"].rsplit("/", 1)[1]]
        return named
    if "anyOf" in schema:
        first: dict[str, Any] = schema["anyOf"][0]
        return first
    return None


def _simple(schema: dict[str, Any]) -> Any:
    by_type = schema.get("minimum", BY_TYPE.get(schema.get("type")))
    return BY_FORMAT.get(schema.get("format"), by_type)
