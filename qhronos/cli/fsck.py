"""`qhronos fsck`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qhronos.cli import options, output
from qhronos.errors import QhronosError

if TYPE_CHECKING:
    from qhronos.engine.fsck import Report

BROKEN = 1
UNKNOWN = 2


@click.command()
@options.config_file
@click.option(
    *("--events", "events"),
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Of how many events the ledger of the last day is read.",
)
@output.table_or_json
def fsck(*, config_path: Path | None, events: int, form: str) -> int:
    """Check that everything holds that must.

    In Postgres, and between Postgres and the plan in Redis. It only reads, also while everything runs, and takes a while
    where there is much history. Beside a running `up`:  eval "$(qhronos env)"; qhronos fsck. Ends with 0 if nothing is wrong, 1 if something is, 2 if that could not be found out.
    """
    try:
        report = _check(config_path, events)
    except QhronosError as error:
        click.echo(f"qhronos: {error}", err=True)
        return UNKNOWN
    if form == "json":
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        _print(report)
    return 0 if report.clean else BROKEN


def _check(config_path: Path | None, events: int) -> Report:
    config = options.settings(config_path, {})
    import asyncio

    from qhronos.wiring import check

    return asyncio.run(check(config, events))


def _print(report: Report) -> None:
    for violation in report.violations:
        click.echo(f"{violation.check}: {violation.count} {violation.says}")
        for one in violation.examples:
            at = output.when(one.scheduled_at.isoformat()) if one.scheduled_at else None
            click.echo("    " + "  ".join(filter(None, (f"event {one.event_id}", at, one.note))))
        if violation.count > len(violation.examples):
            click.echo("    …")
    wrong = f"{len(report.violations)} of {report.checks} checks failed" if report.violations else "all checks passed"
    click.echo(f"{wrong}; the ledger was read of {report.events} events", err=True)
