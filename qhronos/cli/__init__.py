"""The `qhronos` command: it parses, prints and exits.

A sub-command is imported when it is asked for, so that `qhronos --help` knows nothing of servers and stores. To add one:
write its module and add its line to SECTIONS.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 not found · 4 not allowed · 6 conflict · 7 too many requests · 8 timed out ·
9 unreachable · 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from qhronos import errors

# Section → command → where it is and what it does in a few words.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "On this machine": {
        "up": ("qhronos.cli.up:up", "Run everything on this machine: stores, API and services."),
        "listen": ("qhronos.cli.listen:listen", "Hear what is due as it happens, and forward it to a port of yours."),
        "receive": ("qhronos.cli.receive:receive", "Receive webhooks, verify their signatures and print them."),
        "env": ("qhronos.cli.env:env", "Print what another process needs to join a running `up`."),
    },
    "Events and what becomes of them": {
        "event": ("qhronos.cli.event:event", "Create, list and change events."),
        "occurrence": ("qhronos.cli.occurrence:occurrence", "See, change, replay and cancel occurrences."),
        "preview": ("qhronos.cli.preview:preview", "Show when a schedule fires, without creating anything."),
        "import": ("qhronos.cli.files:import_file", "Import a calendar, a crontab or an export."),
        "export": ("qhronos.cli.files:export", "Export events, as JSON or as a calendar."),
        "feed": ("qhronos.cli.feed:feed", "Create, list and delete calendars to subscribe to."),
        "calendar": ("qhronos.cli.calendar:calendar", "Put, list and delete business calendars."),
        "token": ("qhronos.cli.token:token", "Create, list and revoke tokens."),
        "stats": ("qhronos.cli.stats:stats", "Show how much is waiting and what was done."),
    },
    "In production": {
        "api": ("qhronos.cli.roles:api", "Run the HTTP API."),
        "expander": ("qhronos.cli.roles:expander", "Run an expander: it turns rules into occurrences."),
        "dispatcher": ("qhronos.cli.roles:dispatcher", "Run a dispatcher: it performs what is due."),
        "janitor": ("qhronos.cli.roles:janitor", "Run a janitor: it keeps partitions and retention."),
        "gateway": ("qhronos.cli.roles:gateway", "Run a gateway: websockets at /ws, for clients and listeners."),
        "secrets": ("qhronos.cli.secrets:secrets", "Put what is stored of secrets under the newest key."),
        "migrate": ("qhronos.cli.migrate:migrate", "Bring the database schema up to date."),
        "fsck": ("qhronos.cli.fsck:fsck", "Check that everything holds that must."),
        "tzdata": ("qhronos.cli.tzdata:tzdata", "Show what new zone rules have moved, or go back to older ones."),
        "config": ("qhronos.cli.config:config", "Check and show the configuration."),
        "version": ("qhronos.cli.version:version", "Print the versions of Qhronos and of its zone data."),
    },
}
COMMANDS = {name: command for section in SECTIONS.values() for name, command in section.items()}

# The first that fits an error decides.
EXIT_CODES: list[tuple[type[errors.QhronosError], int]] = [
    (errors.NotFound, 3),
    (errors.Gone, 3),
    (errors.Unauthenticated, 4),
    (errors.Denied, 4),
    (errors.Conflict, 6),
    (errors.Outdated, 6),
    (errors.Throttled, 7),
    (errors.Unreachable, 9),
    (errors.Unavailable, 9),
    (errors.QhronosError, 1),
]
TIMED_OUT = 8
INTERRUPTED = 130


class Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, words) for name, (_, words) in commands.items()])


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if wanted:
        from qhronos.cli.version import sentence

        click.echo(sentence())
        ctx.exit()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    *("--version", "-v"),
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the versions and exit.",
)
def cli() -> None:
    """Qhronos keeps time for other systems: it stores events and makes each occurrence happen on time."""


def main() -> None:
    """Run the command line and exit. What is expected to go wrong is one sentence on standard error."""
    try:
        sys.exit(cli.main(prog_name="qhronos", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except errors.QhronosError as error:
        sys.exit(_fail(error))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        hush()
        sys.exit(0)


def hush() -> None:
    """Whoever read our output has enough; nothing may be flushed to them at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: errors.QhronosError) -> int:
    click.echo(f"qhronos: {error}", err=True)
    if isinstance(error, errors.Unreachable) and error.kind == "timeout":
        return TIMED_OUT
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
