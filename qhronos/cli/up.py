"""`qhronos up`: everything on this machine, with one command."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qhronos import __version__
from qhronos.cli import options
from qhronos.cli.home import data_dir, kept_secrets, published, read_environment
from qhronos.errors import ConfigError

if TYPE_CHECKING:
    from qhronos.wiring import Started

ALL_ROLES = "api,expander,dispatcher,janitor,gateway"
# What one process decides for itself; another that joins does not inherit it.
OWN = ("QHRONOS_SERVER__", "QHRONOS_HEALTH__", "QHRONOS_LOGGING__", "QHRONOS_SCHEDULER__DISPATCHER_PROCESSES")


@click.command()
@options.host
@options.port
@options.home
@click.option("--master-token", help="A master token of your own, instead of the kept one; others can see it in `ps`.")
@click.option("--roles", metavar="LIST", default=ALL_ROLES, show_default=True, help="What to run, with commas between.")
@options.config_file
@options.log_level
def up(
    *,
    host: str | None,
    port: int | None,
    home: Path,
    master_token: str | None,
    roles: str,
    config_path: Path | None,
    log_level: str | None,
) -> None:
    """Run everything on this machine: stores, API and services.

    Postgres and Valkey come with Qhronos; DATABASE_URL or REDIS_URL in the environment names another one. The data stay
    in the data directory. Ctrl-C ends everything.
    """
    from qhronos.wiring import UpOptions
    from qhronos.wiring import up as run

    named = tuple(role.strip() for role in roles.split(",") if role.strip())
    if not named:
        raise click.UsageError("--roles names no role")
    if read_environment(home) is not None:
        raise ConfigError(f"another `qhronos up` runs on {home}; stop it, or choose another directory by --data-dir")
    secrets = kept_secrets(home)
    flags = {"server.host": host, "server.port": port, "auth.master_token": master_token, "logging.level": log_level}
    wanted = UpOptions(
        data_dir=home,
        master_token=secrets.master_token,
        jwt_secret=secrets.jwt_secret,
        default_secret=secrets.hmac_secret,
        secrets_key=secrets.key,
        weak_master=True,
        roles=named,
        config_path=config_path,
        flags={key: value for key, value in flags.items() if value is not None},
    )
    with ExitStack() as stack:

        def announce(started: Started) -> None:
            environment = joining(started.environment, started.url)
            stack.enter_context(published(home, started.url, environment))
            click.echo(banner(home, started.url, kept_token=environment.get("QHRONOS_TOKEN") == secrets.master_token))

        run(wanted, announce)


def joining(environment: Mapping[str, str], url: str | None) -> dict[str, str]:
    """The variables that let a further process, psql or a client join: from those that say how this one is set."""
    from qhronos.config import database_url, load, redis_url

    config = load(None, environment)
    stores = {"DATABASE_URL": database_url(config.database), "REDIS_URL": redis_url(config.redis)}
    shared = {name: value for name, value in environment.items() if not name.startswith(OWN)}
    for name in ("QHRONOS_DATABASE__URL", "QHRONOS_REDIS__URL"):
        shared.pop(name, None)
    client = {"QHRONOS_URL": url, "QHRONOS_TOKEN": config.auth.master_token}
    return stores | shared | {name: value for name, value in client.items() if value}


def banner(home: Path, url: str | None, *, kept_token: bool) -> str:
    """What somebody who has just started it wants to know, and three commands to paste."""
    if url is None:
        return f"\nQhronos {__version__} is up, without an API. Ctrl-C ends it; the data stay in {home}.\n"
    token = home / "token" if kept_token else "the one you gave"
    where = "" if home == data_dir() else f" --data-dir {shlex.quote(str(home))}"
    return f"""
Qhronos {__version__} is up.

  API     {url}   (documentation: {url}/schema)
  Token   {token}   (the commands below find it by themselves)
  Data    {home}

Try it, in another terminal:

  {program()} receive{where} &
  {program()} event create hello --url http://127.0.0.1:9000/ --in 5s{where}
  {program()} occurrence list{where}

Ctrl-C ends everything; the data stay.
"""


def program() -> str:
    """How whoever started this program can start it again from the same directory."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(_short(Path(sys.executable)))} -m qhronos"
    found = shutil.which(started.name)
    if found and started.exists() and started.samefile(found):
        return started.name
    return shlex.quote(_short(started))


def _short(path: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
