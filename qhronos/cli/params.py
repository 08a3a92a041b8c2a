"""What people write on the command line, read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import timedelta

    Kind = click.ParamType[Any]
else:
    Kind = click.ParamType


class Json(Kind):
    """JSON, decoded."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return json.loads(value)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)


class Schedule(Json):
    """A rule as text, or as the JSON object of one."""

    name = "rule"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(value, param, ctx) if value.lstrip().startswith("{") else value


class Duration(Kind):
    """Such as 5s, 10m or 24h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from qhronos.core.duration import parse

        try:
            return parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Header(Kind):
    """NAME:VALUE."""

    name = "header"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, colon, content = value.partition(":")
        if not colon or not name.strip():
            self.fail("write it like NAME:VALUE", param, ctx)
        return name.strip(), content.strip()
