"""The reference pages that are made from the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from prometheus_client import Metric

from qhronos import cli, config, metrics
from qhronos.config import Config

ROOT = Path(__file__).parents[1]
MADE = "<!-- Made from the code: QHRONOS_WRITE_DOCS=1 pytest tests/unit/test_docs.py -->\n"


def configuration() -> str:
    """Keys, types and defaults from the Struct, descriptions from the comments of the example."""
    descriptions, values = _described(), config.leaves(Config())
    lines = [MADE, "# Configuration", "", INTRODUCTION]
    section = None
    for key, (_, secret) in config._known(Config).items():
        if (found := key.rpartition(".")[0]) != section:
            section = found
            lines += ["", f"## {section or 'The rest'}", "", "| key | default | |", "|---|---|---|"]
        note = descriptions[key] + (" A secret." if secret else "")
        lines.append(f"| `{key}`<br>`{config.environment_name(key)}` | {_default(values[key])} | {note} |")
    return "\n".join(lines) + "\n"


INTRODUCTION = """\
Every key can be set in a file (`--config`), in the environment and, some of them, by a flag. Flags beat the environment,
and the environment beats the file. `config.example.yaml` is a file with every key at its default.

In the environment a key is in capitals, with two underscores between section and key. A name that ends in `_FILE` says
where to read the value from, which is meant for secrets. `DATABASE_URL`, `REDIS_URL` and `PORT` stand for `database.url`,
`redis.url` and `server.port`. Lists are JSON, or have commas between. What is optional and set to nothing is not set.

Durations are `500ms`, `30s`, `5m`, `24h`, `7d`, `2w`, `1h30m` or a number of seconds. A key that nobody knows stops the
start; so does a value that cannot be.

`qhronos up` makes `auth.master_token`, `auth.jwt_secret` and `hmac.default_secret` by itself, once, and sets
`http.egress_allow` to loopback. What you set beats what it would choose."""


def command_line() -> str:
    """Every command with its flags, as `--help` has them."""
    lines = [MADE, "# Command line", "", COMMANDS]
    for path, command in commands():
        if isinstance(command, click.Group):
            continue
        context = context_of(command, *path)
        lines += ["", f"## qhronos {' '.join(path)}", "", "```", command.get_help(context), "```"]
    return "\n".join(lines) + "\n"


COMMANDS = """\
Data go to standard output, everything else to standard error. `-o json` prints the API's answer, `-o id` ids alone.

Commands that speak to the API find the `up` that runs on this machine, with its token, in the data directory. `--api` and
`--token`, or `QHRONOS_URL` and `QHRONOS_TOKEN`, name another.

| exit code | |
|---|---|
| 0 | done; also an empty list |
| 1 | failed |
| 2 | wrong usage |
| 3 | not found |
| 4 | not allowed |
| 6 | conflict |
| 7 | too many requests |
| 8 | timed out |
| 9 | unreachable |
| 130 | interrupted |

`_QHRONOS_COMPLETE=bash_source qhronos` prints what makes bash complete commands; `zsh_source` and `fish_source` do the
same for theirs."""


def measurements() -> str:
    """Every metric of ours, from the registry."""
    lines = [MADE, "# Metrics", "", METRICS, "", "| metric | type | labels | |", "|---|---|---|---|"]
    for metric, labels in _metrics():
        shown = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{_exposed(metric)}` | {metric.type} | {shown} | {metric.documentation} |")
    return "\n".join(lines) + "\n"


METRICS = """\
Prometheus reads them from `/metrics`: of the API on its port, of the other roles on `health.port`. Of several
workers of the API each counts for itself, so there the first is read on `health.port`, the next on the port after it, and
so on; on the shared port whichever worker answers speaks of itself alone. Times are in seconds.
No label holds an id, a URL or a name that users choose. The usual `process_*` metrics are there, too."""


def context_of(command: click.Command, *path: str) -> click.Context:
    """As it is when the command is run; click remembers the names of the first that asks for help."""
    name = " ".join(("qhronos", *path))
    return click.Context(command, info_name=name, terminal_width=100, help_option_names=["-h", "--help"])


def commands(
    group: click.Group = cli.cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def _described() -> dict[str, str]:
    """Key → the comment above it."""
    found, section, comment = {}, "", ""
    for line in (ROOT / "config.example.yaml").read_text().splitlines():
        if line.strip().startswith("# "):
            comment = line.strip().removeprefix("# ")
        elif header := re.fullmatch(r"(\w+):", line):
            section = f"{header[1]}."
        elif entry := re.match(r"( *)(\w+): ", line):
            found[(section if entry[1] else "") + entry[2]] = comment
    return found


def _default(value: object) -> str:
    match value:
        case None | ():
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case _:
            return f"`{value}`"


def _metrics() -> Iterator[tuple[Metric, tuple[str, ...]]]:
    for collector in metrics.REGISTRY._collector_to_names:
        names = getattr(collector, "_labelnames", None)
        if names is not None:
            for metric in collector.collect():
                yield metric, names


def _exposed(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
