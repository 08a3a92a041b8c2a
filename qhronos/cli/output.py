"""What people read: aligned columns and times with their zone. What programs read: `-o json` and `-o id`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

Item = Mapping[str, Any]
Columns = Mapping[str, Callable[[Item], str]]

choice = click.option(
    *("--output", "-o", "form"),
    type=click.Choice(["table", "json", "id"]),
    default="table",
    help="A table for people, the API's JSON, or ids alone.",
)
table_or_json = click.option(
    *("--output", "-o", "form"),
    type=click.Choice(["table", "json"]),
    default="table",
    help="A table for people, or the API's JSON.",
)


def page(answer: Item, columns: Columns, form: str) -> None:
    """A page of a list. If there are more, standard error says how to get them."""
    items = answer["data"]
    if form == "table":
        click.echo(table(columns, items))
    else:
        plain(answer, items, form)
    if (cursor := answer["pagination"]["next_cursor"]) and form == "table":
        click.echo(f"there are more: --cursor {cursor}", err=True)


def one(item: Item, lines: Columns, form: str) -> None:
    """One thing, a line for each of its sides; sides that are empty are left out."""
    if form != "table":
        plain(item, [item], form)
        return
    shown = [(title, show(item)) for title, show in lines.items()]
    click.echo(aligned([(f"{title}:", text) for title, text in shown if text]))


def plain(answer: Item, items: Iterable[Item], form: str) -> None:
    """For programs: the answer as it came, or the ids of its items."""
    if form == "json":
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        for item in items:
            click.echo(item["id"])


def table(columns: Columns, items: Iterable[Item]) -> str:
    rows = [[show(item) for show in columns.values()] for item in items]
    return aligned([list(columns), *rows]) if rows else "none"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def when(text: str | None) -> str:
    """An instant of the API as `2026-11-21 08:00:00.250Z`."""
    if text is None:
        return ""
    instant = datetime.fromisoformat(text).astimezone(UTC)
    fraction = f".{instant.microsecond // 1000:03}" if instant.microsecond else ""
    return f"{instant:%Y-%m-%d %H:%M:%S}{fraction}Z"


def words(value: object) -> str:
    """Anything of the API on one line."""
    match value:
        case None:
            return ""
        case str():
            return " ".join(value.split())
        case list() if all(isinstance(item, str) for item in value):
            return ", ".join(value)
        case _:
            return json.dumps(value, ensure_ascii=False)
