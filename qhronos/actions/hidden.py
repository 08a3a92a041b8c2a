"""Headers whose values are secrets: given once, kept apart from the action, and afterwards only said to be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from qhronos.errors import Invalid
from qhronos.http import headers


class Hidden(Struct, frozen=True, forbid_unknown_fields=True):
    """`secret` is the value as it is given; true, where it is kept or is to stay."""

    secret: str | bool


CLIENT_SECRET = "auth:client_secret"  # noqa: S105 - its name among those of headers; no header is called so
Given: TypeAlias = dict[str, str | Hidden]
SHOWN = Hidden(secret=True)


def field_of(name: str) -> str:
    """Where in the params of an action the secret of that name stands."""
    return "auth.client_secret" if name == CLIENT_SECRET else f"headers.{name}"


def words_for(name: str) -> str:
    return "the client secret" if name == CLIENT_SECRET else f"the value of header {name}"


def check(given: Given, field: str) -> None:
    """Refuse what a user must not send. Raises Invalid."""
    for name, value in given.items():
        if isinstance(value, Hidden) and not value.secret:
            raise Invalid(f"the secret of header {name} is its value, or true to keep it", field=f"{field}.{name}")
    headers.check({name: _text(value) for name, value in given.items()}, field)


def conceal(given: Given) -> tuple[Given, dict[str, str | None]]:
    """The headers as everybody may see them, and the values of those that are secret; None for one that is to stay."""
    values = {
        name: value.secret if isinstance(value.secret, str) else None
        for name, value in given.items()
        if isinstance(value, Hidden)
    }
    return {name: SHOWN if name in values else value for name, value in given.items()}, values


def reveal(given: Given, values: Mapping[str, str]) -> dict[str, str]:
    """The headers as they are sent; `values` by names in lower case. Raises Invalid if one is missing."""
    return {name: value if isinstance(value, str) else _value(name, values) for name, value in given.items()}


def _value(name: str, values: Mapping[str, str]) -> str:
    value = values.get(name.lower())
    if value is None:
        raise Invalid(f"the value of header {name} is missing; edit the event and give it", field=f"headers.{name}")
    return value


def names(given: Given) -> tuple[str, ...]:
    """Of the headers whose values are secret."""
    return tuple(name for name, value in given.items() if isinstance(value, Hidden))


def _text(value: str | Hidden) -> str:
    if isinstance(value, str):
        return value
    return value.secret if isinstance(value.secret, str) else ""
