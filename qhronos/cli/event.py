"""`qhronos event`: what should happen, and when."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, segment, uses_api
from qhronos.cli.output import when, words
from qhronos.cli.params import Duration, Header, Json, Schedule, Time

if TYPE_CHECKING:
    from datetime import timedelta

BACKLOGS = ("skip", "fire_latest", "fire_all")
LIST: output.Columns = {
    "ID": lambda event: event["id"],
    "NAME": lambda event: words(event["name"]),
    "STATUS": lambda event: event["status"],
    "NEXT": lambda event: when(event.get("next_due_at")),
    "WHEN": lambda event: words(event["words"]),
    "TAGS": lambda event: words(event["tags"]),
}
SHOW: output.Columns = {
    "id": lambda event: event["id"],
    "key": lambda event: words(event.get("key")),
    "name": lambda event: words(event["name"]),
    "description": lambda event: words(event["description"]),
    "status": lambda event: event["status"],
    "reason": lambda event: words(event.get("reason")),
    "when": lambda event: words(event["words"]),
    "schedule": lambda event: words(event["schedule"]),
    "starts": lambda event: when(event["start_time"]),
    "timezone": lambda event: event["timezone"],
    "next": lambda event: when(event.get("next_due_at")),
    "action": lambda event: words(event["action"]),
    "tags": lambda event: words(event["tags"]),
    "metadata": lambda event: words(event["metadata"]),
}
RUN: output.Columns = {
    "occurrence": lambda run: run["id"],
    "event": lambda run: run["event_id"],
}


LEDGER: output.Columns = {
    "SCHEDULED": lambda line: when(line["scheduled_at"]),
    "EXPECTED": lambda line: "yes" if line["expected"] else "no",
    "STATUS": lambda line: line["status"].replace("_", " "),
    "ATTEMPTS": lambda line: str(line["attempts"]),
    "REASON": lambda line: words(line["reason"]),
}


@click.group()
def event() -> None:
    """Create, list and change events."""


OVERLAPS = ["allow", "skip", "queue_one", "queue_all"]
ROLLS = ["skip", "following", "preceding", "modified_following", "nearest"]
ACTION = [
    click.option("--url", help="Where the webhook goes."),
    click.option("--client", metavar="NAME", help="Instead of a URL: the client of the gateway that is told."),
    click.option("--method", help="Makes it an API call with this method instead of a signed webhook."),
    click.option(
        "--header", "headers", multiple=True, type=Header(), metavar="NAME:VALUE", help="Of the API call; repeatable."
    ),
    click.option(
        *("--secret-header", "hidden"),
        multiple=True,
        type=Header(),
        metavar="NAME:VALUE",
        help="As --header, but its value is never shown again; others can see it in `ps`.",
    ),
    click.option("--body", help="Of the API call, sent as written."),
    click.option(
        "--auth",
        type=Json(),
        metavar="JSON",
        help='How to get an access token: {"type": "oauth2", …}; others can see it in `ps`.',
    ),
]
POLICIES = [
    click.option("--overlap", type=click.Choice(OVERLAPS), help="While another of its occurrences is under way."),
    click.option("--concurrency-key", metavar="KEY", help="So many of all events with it are under way at once."),
    click.option("--concurrency-limit", type=int, help="How many.  [default: 1]"),
    click.option("--ordering-key", metavar="KEY", help="One after the other of all events with it."),
    click.option("--priority", type=click.IntRange(0, 10), help="What goes first where hands are short."),
    click.option("--expires-after", type=Duration(), metavar="DURATION", help="When an occurrence is of no use."),
    click.option("--flex-window", type=Duration(), metavar="DURATION", help="Somewhere within, always the same."),
    click.option("--jitter", type=Duration(), metavar="DURATION", help="Somewhere within, each time anew."),
    click.option("--max-occurrences", type=click.IntRange(1), help="COUNT of its rule."),
    click.option("--on-success", metavar="URL", help="A webhook that is told of each success."),
    click.option("--on-failure", metavar="URL", help="A webhook that is told of what has failed for good."),
]
SAID = ("overlap", "concurrency_key", "concurrency_limit", "ordering_key", "priority", "max_occurrences")
SPANS = ("expires_after", "flex_window", "jitter")
CONTENT = [
    *ACTION,
    click.option("--in", "delay", type=Duration(), metavar="DURATION", help="When, from now: 5s, 10m, 24h."),
    click.option("--at", type=Time(), metavar="TIME", help="When: 2026-12-24T18:00Z, or without offset in --tz."),
    click.option(
        "--schedule", type=Schedule(), metavar="RULE", help="How it repeats: words, cron, 5m, an RRULE, JSON."
    ),
    click.option("--calendar", "calendars", multiple=True, help="A business calendar that it heeds; repeatable."),
    click.option("--roll", type=click.Choice(ROLLS), help="Where to from a closed day.  [default: skip]"),
    click.option("--tz", metavar="ZONE", help="The time zone of the schedule, such as Europe/Berlin."),
    click.option("--tag", "tags", multiple=True, help="Repeatable."),
    click.option("--metadata", type=Json(), metavar="JSON", help="Goes out with every delivery."),
    click.option("--retry", type=Json(), metavar="JSON", help='Such as {"max_attempts": 5}.'),
    click.option("--misfire", type=Json(), metavar="JSON", help='Such as {"policy": "skip"}.'),
    *POLICIES,
    click.option("--description"),
    click.option("--secret", help="Signs the deliveries of this event; others can see it in `ps`."),
    click.option(
        "--secret-overlap",
        type=Duration(),
        metavar="DURATION",
        help="How long what signed before signs as well; up to 7d, 0s for not at all.  [default: 24h]",
    ),
]


def with_action(command: Callable[..., int | None]) -> Callable[..., int | None]:
    return functools.reduce(lambda made, option: option(made), reversed(ACTION), command)


def with_content(command: Callable[..., int | None]) -> Callable[..., int | None]:
    return functools.reduce(lambda made, option: option(made), reversed(CONTENT), command)


@event.command()
@click.argument("name")
@with_content
@click.option("--key", help="A name of your own: creating the same key again changes the event.")
@output.choice
@uses_api
def create(*, api: Api, name: str, key: str | None, form: str, **content: Any) -> None:
    """Create the event NAME.

    Without --in, --at or --schedule it happens now, once.
    """
    made = api.post("/events", {"name": name, **_body(content), **({"key": key} if key else {})})
    _show(made, form)


@event.command("list")
@click.option("--status", multiple=True, help="active, paused, completed, error or deleted; repeatable.")
@click.option("--tag", "tags", multiple=True, help="With any of the tags; repeatable.")
@click.option("--search", help="Beginnings of words in name, description and key.")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@output.choice
@uses_api
def list_events(*, api: Api, form: str, search: str | None, tags: tuple[str, ...], **query: Any) -> None:
    """List events, newest first."""
    output.page(api.get("/events", q=search, tags=tags, **query), LIST, form)


@event.command()
@click.argument("event_id")
@output.choice
@uses_api
def show(*, api: Api, event_id: str, form: str) -> None:
    """Show an event."""
    _show(api.get(f"/events/{segment(event_id)}"), form)


@event.command()
@click.argument("event_id")
@with_content
@click.option("--name")
@output.choice
@uses_api
def update(*, api: Api, event_id: str, name: str | None, form: str, **content: Any) -> None:
    """Change an event; what is not named stays."""
    body = _body(content) | ({"name": name} if name else {})
    if not body:
        raise click.UsageError("nothing to change; name what should be different")
    _show(api.patch(f"/events/{segment(event_id)}", body), form)


@event.command()
@click.argument("event_id")
@click.option("--reason", help="Shown with the event.")
@click.option("--until", type=Time(aware=True), metavar="TIME", help="When it resumes by itself.")
@click.option("--backlog", type=click.Choice(BACKLOGS), help="Beside --until: what becomes of what fell due meanwhile.")
@output.choice
@uses_api
def pause(*, api: Api, event_id: str, form: str, **said: str | None) -> None:
    """Hold an event back until it is resumed."""
    body = {name: value for name, value in said.items() if value}
    _show(api.post(f"/events/{segment(event_id)}/pause", body or None), form)


@event.command()
@click.argument("event_id")
@click.option("--backlog", type=click.Choice(BACKLOGS), help="What becomes of what fell due meanwhile.")
@output.choice
@uses_api
def resume(*, api: Api, event_id: str, backlog: str | None, form: str) -> None:
    """Let a paused event go on."""
    body = {"backlog": backlog} if backlog else None
    _show(api.post(f"/events/{segment(event_id)}/resume", body), form)


@event.command()
@click.argument("event_id")
@click.option("--payload", type=Json(), metavar="JSON", help="Goes out in place of its metadata, this once.")
@output.choice
@uses_api
def run(*, api: Api, event_id: str, payload: object, form: str) -> None:
    """Make an event happen now, besides its schedule."""
    ran = api.post(f"/events/{segment(event_id)}/run", None if payload is None else {"payload": payload})
    output.one(ran if form == "json" else {"id": ran["occurrence_id"], "event_id": ran["id"]}, RUN, form)


@event.command()
@click.argument("event_id")
@click.argument("instant", type=Time(aware=True), required=False)
@output.choice
@uses_api
def skip(*, api: Api, event_id: str, instant: str | None, form: str) -> None:
    """Leave out the occurrence of an event at INSTANT, or the next."""
    _show(api.post(f"/events/{segment(event_id)}/skip", {"scheduled_at": instant} if instant else None), form)


@event.command()
@click.argument("event_id")
@click.option("--since", type=Time(aware=True), metavar="TIME", required=True, help="From here on.")
@click.option("--until", type=Time(aware=True), metavar="TIME", required=True, help="Before this; it must be past.")
@click.option("--limit", "-n", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--dry-run", is_flag=True, help="Show what would happen, and end.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@uses_api
def backfill(*, api: Api, event_id: str, dry_run: bool, yes: bool, **wanted: Any) -> None:
    """Make up for a past range of an event.

    What neither happened in it nor is open happens now, each under its own id. Shows first what would be, and asks.
    """
    path = f"/events/{segment(event_id)}/backfill"
    would = api.post(path, {**wanted, "dry_run": True})
    click.echo(f"{would['missing']} missing before {would['covered']}", err=True)
    for one in would["ids"]:
        click.echo(one)
    if dry_run or not would["missing"]:
        return
    if not yes:
        click.confirm("Make up for them?", abort=True, err=True)
    click.echo(f"{api.post(path, wanted)['opened']} opened", err=True)


@event.command()
@click.argument("event_id")
@click.argument("instant", type=Time(aware=True))
@with_content
@click.option("--name")
@output.choice
@uses_api
def split(*, api: Api, event_id: str, instant: str, name: str | None, form: str, **content: Any) -> None:
    """End an event before INSTANT, and go on with a new one from there.

    The new event is like the old one but for what is named; INSTANT is one of the old event's, and the first of the new.
    """
    body = {"scheduled_at": instant, **_body(content), **({"name": name} if name else {})}
    _show(api.post(f"/events/{segment(event_id)}/split", body), form)


@event.command()
@click.argument("event_id")
@click.option(
    "--schedule", type=Schedule(), metavar="RULE", help="How it would repeat: words, cron, 5m, an RRULE, JSON."
)
@click.option("--at", "start_time", type=Time(), metavar="TIME", help="When it would begin.")
@click.option("--tz", "timezone", metavar="ZONE", help="The time zone that it would have.")
@click.option("--since", type=Time(aware=True), metavar="TIME", help="Compare from here on.  [default: now]")
@click.option(
    "--until", type=Time(aware=True), metavar="TIME", help="Compare what is before this.  [default: 30 days on]"
)
@click.option("--limit", "-n", type=int, default=100, show_default=True)
@output.table_or_json
@uses_api
def diff(*, api: Api, event_id: str, form: str, **said: Any) -> None:
    """Show what another schedule would change: + what comes, - what goes.

    Nothing is changed; `event update` does that.
    """
    given = {field: value for field, value in said.items() if value is not None}
    answer = api.post(f"/events/{segment(event_id)}/diff", given)
    if form == "json":
        output.plain(answer, [], form)
        return
    marked = [(sign, one) for sign, side in (("-", "removed"), ("+", "added")) for one in answer[side]]
    for sign, one in sorted(marked, key=lambda pair: datetime.fromisoformat(pair[1]["at"])):
        click.echo(f"{sign} {when(one['at'])}  {one['local'].replace('T', ' ', 1)}")
    click.echo(f"{len(answer['kept'])} stay", err=True)
    if not answer["complete"]:
        click.echo("there are more: raise --limit, or name --since and --until", err=True)


@event.command()
@click.argument("event_id")
@click.option("--since", type=Time(aware=True), metavar="TIME", help="From here on.  [default: a day before --until]")
@click.option("--until", type=Time(aware=True), metavar="TIME", help="What is before this.  [default: now]")
@click.option("--limit", "-n", type=int, default=200, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@output.table_or_json
@uses_api
def ledger(*, api: Api, event_id: str, form: str, **query: Any) -> int:
    """Show what an event promised and what is recorded of it; ends with 1 if something is missing."""
    answer = api.get(f"/events/{segment(event_id)}/ledger", **query)
    output.page(answer, LEDGER, form)
    if form == "table":
        click.echo(
            f"{answer['expected']} expected, {answer['recorded']} recorded, {answer['missing']} missing", err=True
        )
    return 1 if answer["missing"] else 0


@event.command()
@click.argument("event_id")
@uses_api
def delete(*, api: Api, event_id: str) -> None:
    """Delete an event; what it did stays on record."""
    api.delete(f"/events/{segment(event_id)}")
    click.echo(f"deleted {event_id}", err=True)


def _show(item: dict[str, Any], form: str) -> None:
    output.one(item, SHOW, form)


def _body(content: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event that were named."""
    if content["delay"] is not None and content["at"]:
        raise click.UsageError("--in and --at exclude each other")
    overlap = content["secret_overlap"]
    body = {
        "description": content["description"],
        "start_time": _from_now(content["delay"]) if content["delay"] is not None else content["at"],
        "schedule": content["schedule"],
        "timezone": content["tz"],
        "calendars": list(content["calendars"]) or None,
        "roll": content["roll"],
        "action": action_of(content),
        "tags": list(content["tags"]) or None,
        "metadata": content["metadata"],
        "hmac_secret": content["secret"],
        "hmac_secret_overlap": None if overlap is None else overlap.total_seconds(),
        "retry": content["retry"],
        "misfire": content["misfire"],
        **{name: content[name] for name in SAID},
        **{name: content[name].total_seconds() for name in SPANS if content[name] is not None},
        **{name: webhook_to(content[name]) for name in ("on_success", "on_failure") if content[name]},
    }
    return {field: value for field, value in body.items() if value is not None}


def action_of(content: dict[str, Any]) -> dict[str, Any] | None:
    headers = dict(content["headers"]) | {name: {"secret": value} for name, value in content["hidden"]}
    given = {"method": content["method"], "headers": headers, "body": content["body"]}
    call = {name: value for name, value in given.items() if value}
    auth = {"auth": content["auth"]} if content["auth"] else {}
    if content["client"]:
        if content["url"] or call or auth:
            raise click.UsageError(
                "--client is told over its own connection: it goes without --url and what belongs to it"
            )
        return {"type": "websocket", "params": {"client_name": content["client"]}}
    if not content["url"]:
        if call or auth:
            raise click.UsageError("an API call needs --url" if call else "--auth needs --url")
        return None
    if call:
        return {"type": "apicall", "params": {"method": "GET", "url": content["url"], **call, **auth}}
    return webhook_to(content["url"], **auth)


def webhook_to(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "webhook", "params": {"url": url, **more}}


def _from_now(delay: timedelta) -> str:
    from qhronos.clock import SystemClock

    return (SystemClock().now() + delay).isoformat()
