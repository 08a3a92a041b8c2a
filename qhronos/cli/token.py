"""`qhronos token`: who may do what."""

from __future__ import annotations

from typing import Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, segment, uses_api
from qhronos.cli.output import when, words

LIST: output.Columns = {
    "ID": lambda token: token["id"],
    "SUB": lambda token: words(token["sub"]),
    "ACCESS": lambda token: token["access"],
    "SCOPE": lambda token: words(token["scope"]),
    "EXPIRES": lambda token: when(token["expires_at"]),
    "REVOKED": lambda token: when(token["revoked_at"]),
}


@click.group()
def token() -> None:
    """Create, list and revoke tokens."""


@token.command()
@click.argument("sub")
@click.option("--access", type=click.Choice(["read", "write", "read_write", "admin"]), required=True)
@click.option("--scope", multiple=True, help="A tag; the token sees events with any of them. Repeatable.")
@click.option("--expires", default="30d", show_default=True, help="How long it holds: 24h, 30d.")
@output.choice
@uses_api
def create(*, api: Api, form: str, expires: str, **grant: Any) -> None:
    """Create a token for SUB and print it; it is shown this once."""
    made = api.post("/tokens", {**grant, "expires_in": expires})
    if form == "table":
        click.echo(f"token {made['id']} for {made['sub']} holds until {when(made['expires_at'])}", err=True)
        click.echo(made["token"])
    else:
        output.one(made, {}, form)


@token.command("list")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@output.choice
@uses_api
def list_tokens(*, api: Api, form: str, **query: Any) -> None:
    """List tokens, newest first. None of them is shown itself."""
    output.page(api.get("/tokens", **query), LIST, form)


@token.command()
@click.argument("token_id")
@uses_api
def revoke(*, api: Api, token_id: str) -> None:
    """Let a token hold no longer."""
    api.delete(f"/tokens/{segment(token_id)}")
    click.echo(f"revoked {token_id}", err=True)
