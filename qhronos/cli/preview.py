"""`qhronos preview`."""

from __future__ import annotations

import json
from typing import Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, uses_api
from qhronos.cli.event import ROLLS
from qhronos.cli.output import aligned, table_or_json, when
from qhronos.cli.params import Schedule, Time

LOCAL: output.Columns = {
    "AT": lambda occurrence: when(occurrence["at"]),
    "LOCAL": lambda occurrence: occurrence["local"].replace("T", " ", 1),
    "NOTE": lambda occurrence: occurrence["note"] or "",
}


@click.command()
@click.argument("rule", type=Schedule())
@click.option("--start", "start_time", type=Time(), metavar="TIME", help="When it begins.  [default: now]")
@click.option("--tz", "timezone", metavar="ZONE", help="Its time zone, such as Europe/Berlin.  [default: UTC]")
@click.option("--calendar", "calendars", multiple=True, help="A business calendar that it heeds; repeatable.")
@click.option("--roll", type=click.Choice(ROLLS), help="Where to from a closed day.  [default: skip]")
@click.option("--since", type=Time(aware=True), metavar="TIME", help="Show from here on.  [default: the start]")
@click.option("--until", type=Time(aware=True), metavar="TIME", help="Show what is before this.")
@click.option("--limit", "-n", type=int, default=10, show_default=True)
@table_or_json
@uses_api
def preview(*, api: Api, rule: Any, form: str, calendars: tuple[str, ...], **window: Any) -> None:
    """Show when a schedule fires, without creating anything.

    RULE is as in `event create --schedule`: "every first friday of month at 9am", "0 9 * * MON-FRI", 5m, an RRULE, or a
    JSON object.
    """
    given = {field: value for field, value in window.items() if value is not None}
    if calendars:
        given["calendars"] = list(calendars)
    answer = api.post("/recurrences/preview", {"schedule": rule, **given})
    if form == "json":
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    click.echo(answer["words"])
    click.echo(output.table(LOCAL, answer["occurrences"]))
    changes = [
        (f"the clocks change at {when(at['at'])}", f"{at['before']} to {at['after']}") for at in answer["clock_changes"]
    ]
    for line in [*answer["warnings"], *(aligned(changes).splitlines() if changes else [])]:
        click.echo(line, err=True)
