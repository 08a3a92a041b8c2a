"""What people write on the command line, read."""

from __future__ import annotations

import json
from datetime import datetime
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


class Time(Kind):
    """A time as people write it, such as `2026-12-24 18:00`; `aware`: it must say its offset from UTC."""

    name = "time"

    def __init__(self, *, aware: bool = False) -> None:
        self._aware = aware

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            time = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail("not a time; write it like 2026-12-24T18:00:00Z", param, ctx)
        if self._aware and time.tzinfo is None:
            self.fail("says nothing of its zone; end it with Z or an offset such as +01:00", param, ctx)
        return time.isoformat().replace("+00:00", "Z")


class Header(Kind):
    """NAME:VALUE."""

    name = "header"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, colon, content = value.partition(":")
        if not colon or not name.strip():
            self.fail("write it like NAME:VALUE", param, ctx)
        return name.strip(), content.strip()
