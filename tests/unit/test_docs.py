"""The documentation is true: what it names exists, what it shows can be read, what is made from the code is current."""

import ast
import json
import os
import re
import shlex
from pathlib import Path

import click
import msgspec
import pytest

from qhronos import actions
from qhronos.actions import callback
from qhronos.actions.webhook import Payload
from qhronos.api import (
    app,
    audit,
    backfills,
    bulk,
    calendars,
    event_body,
    event_view,
    events,
    exports,
    feeds,
    health,
    imports,
    ledger,
    live,
    occurrences,
    pieces,
    problems,
    recurrences,
    series,
    stats,
    tokens,
    tzdata,
)
from qhronos.cli import cli
from qhronos.clock import SystemClock
from qhronos.core.event import EventStatus, Misfire
from qhronos.core.occurrence import NEXT, Status
from qhronos.core.recurrence import parse
from qhronos.core.retry import Retry
from qhronos.core.signing import sign, sign_callback
from qhronos.http import Egress, Limits
from tests import reference
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MADE = {
    "configuration.md": reference.configuration,
    "cli.md": reference.command_line,
    "metrics.md": reference.measurements,
}
MODULES = (
    audit,
    bulk,
    calendars,
    event_body,
    event_view,
    events,
    backfills,
    exports,
    feeds,
    health,
    imports,
    ledger,
    live,
    occurrences,
    pieces,
    problems,
    recurrences,
    series,
    stats,
    tokens,
    tzdata,
)
NOW = FakeClock().now()


def struct(name):
    return next(vars(module)[name] for module in MODULES if name in vars(module))


def blocks(page, language):
    """(marker before it, content) of every fenced block."""
    text = page.read_text()
    return re.findall(rf"(?:<!-- ([^>]*) -->\n)?```{language}\n(.*?)```", text, flags=re.DOTALL)


def tables(page):
    """Marker → the first column of the table after it."""
    found = re.findall(r"<!-- ([^>]*) -->\n((?:\|.*\n)+)", page.read_text())
    return {marker: [row.split("|")[1].strip() for row in rows.splitlines()[2:]] for marker, rows in found}


def anchors(page):
    """What GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    plain = [re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("name", MADE)
def test_pages_made_from_the_code_are_current(name):
    page, made = ROOT / "docs/reference" / name, MADE[name]()
    if os.environ.get("QHRONOS_WRITE_DOCS"):
        page.write_text(made)

    assert made == page.read_text(), "write it anew: QHRONOS_WRITE_DOCS=1 pytest tests/unit/test_docs.py"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text())
    targets = [((page.parent / path).resolve() if path else page, anchor) for path, anchor in links]

    assert [] == [str(target) for target, _ in targets if not target.exists()]
    assert [] == [anchor for target, anchor in targets if anchor and anchor not in anchors(target)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_shown_as_json_is_json(page):
    for _, content in blocks(page, "json"):
        json.loads(content)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    inline = re.findall(r"`make ([a-z-]+)", page.read_text())
    lines = [line for _, content in blocks(page, "sh") for line in content.splitlines()]
    blocked = [found[1] for line in lines if (found := re.match(r"make ([a-z-]+)", line))]

    assert set(inline + blocked) <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_written_as_they_are_understood(page):
    spans = re.findall(r"`(qhronos [^`]*)`", page.read_text())
    lines = [line for _, content in blocks(page, "sh") for line in content.splitlines()]
    for line in [*spans, *lines]:
        for words in commands_in(line.replace("…", "2026-01-01T00:00Z")):
            # What a variable of the shell holds is not known here; a time is taken everywhere.
            understand(["2026-01-01T00:00Z" if word.startswith("$") else word for word in words])


def commands_in(line):
    """The words after each `qhronos` of a line of shell, also of those inside `$(…)`."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found = []
    for token in lexer:
        if inner := re.search(r"\$\((.*)\)", token):
            yield from commands_in(inner[1])
        if token == "qhronos":
            found.append([])
        elif set(token) <= set("();<>|&"):
            yield from found
            found = []
        elif found:
            found[0].append(token)
    yield from found


def understand(words):
    """Groups, commands and flags exist and take what they are given; only arguments may be missing."""
    command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, command, words = command.resolve_command(reference.context_of(command), words)
    try:
        if words or not isinstance(command, click.Group):
            command.parse_args(reference.context_of(command), words)
    except (click.MissingParameter, click.exceptions.Exit):
        pass


def test_a_flag_that_is_none_would_be_noticed():
    with pytest.raises(click.NoSuchOption):
        understand(["event", "create", "--nosuch"])


def test_every_route_is_described_and_no_other():
    text = (ROOT / "docs/api.md").read_text()
    described = re.findall(r"^### ((?:GET|POST|PUT|PATCH|DELETE) \S+)$", text, flags=re.MULTILINE)

    assert sorted(route for route, _ in routes()) == sorted(described)


def routes():
    """(route, access) of what the API shows of itself."""
    for handler in app.HANDLERS:
        for path in handler.paths:
            if handler.include_in_schema or path == "/schema":
                (method,) = handler.http_methods
                yield f"{method} {path.replace(':str', '')}", str(handler.opt["access"])


def test_the_table_of_access_is_the_one_that_is_enforced():
    text = (ROOT / "docs/auth.md").read_text().partition("<!-- access -->")[2]
    rows = re.findall(r"^\| ([A-Z]+ /\S*) \| (\w+) \|$", text, flags=re.MULTILINE)

    assert sorted(routes()) == sorted(rows)


def test_every_field_and_parameter_is_described_and_no_other():
    for marker, names in tables(ROOT / "docs/api.md").items():
        kind, _, name = marker.partition(": ")
        fields = {field.encode_name for field in msgspec.structs.fields(struct(name))}

        assert fields == {each.strip("` ") for names in names for each in names.split(",")}, kind


@pytest.mark.parametrize(
    ("marker", "content"),
    [
        (marker, content)
        for page in ("docs/api.md", "docs/howto/oauth2-client-credentials.md")
        for marker, content in blocks(ROOT / page, "json")
        if marker
    ],
)
def test_every_example_of_the_api_is_one(marker, content):
    kind, _, name = marker.partition(": ")
    match kind:
        case "body":
            decoded = msgspec.json.decode(content, type=struct(name), strict=True)
            if isinstance(decoded, event_body.NewEvent):
                event_body.new_fields_of(decoded, Egress(), {})
        case "answer":
            # Nothing left out and nothing made up: it comes out as it went in.
            decoded = msgspec.json.decode(content, type=struct(name))
            assert json.loads(content) == json.loads(msgspec.json.encode(decoded))
        case "action":
            actions.parse(content.encode(), Egress())
        case "schedule":
            parse(json.loads(content), now=NOW)
        case "payload":
            decoded = msgspec.json.decode(content, type=Payload)
            assert json.loads(content) == json.loads(msgspec.json.encode(decoded))
        case "retry" | "misfire":
            msgspec.json.decode(content, type={"retry": Retry, "misfire": Misfire}[kind])
        case _:
            raise AssertionError(marker)


def test_every_body_has_an_example():
    given = {marker for marker, _ in blocks(ROOT / "docs/api.md", "json")}
    said = [handler.fn.__annotations__.get("data", "") for handler in app.HANDLERS]
    bodies = [re.fullmatch(r"JSONBody\[(\w+)\]", text) for text in said if text]

    assert {f"body: {body[1]}" for body in bodies} <= given


def test_every_status_of_a_problem_is_described():
    rows = re.findall(r"^\| (\d{3}) \|", (ROOT / "docs/api.md").read_text(), flags=re.MULTILINE)

    assert set(problems.STATUS.values()) <= {int(row) for row in rows}


def test_the_diagram_of_statuses_is_the_table_of_moves():
    (diagram,) = blocks(ROOT / "docs/architecture.md", "mermaid")
    drawn = re.findall(r"^ +(\w+) --> (\w+)", diagram[1], flags=re.MULTILINE)

    assert {(str(old), str(new)) for old, news in NEXT.items() for new in news} == set(drawn)


@pytest.mark.parametrize("status", [*Status, *EventStatus])
def test_the_glossary_knows_every_status(status):
    assert f"| `{status}` |" in (ROOT / "docs/glossary.md").read_text()


def test_the_map_stays_a_map():
    text = (ROOT / "docs/architecture.md").read_text()
    listed = set(re.findall(r"(\w+)(?:/|\.py)", text.split("```")[1]))
    modules = {path.stem for path in (ROOT / "qhronos").iterdir() if not path.stem.startswith("_")}

    assert len(text.splitlines()) < 250
    assert modules <= listed


def test_every_log_event_is_listed_with_its_level_and_no_other():
    text = (ROOT / "docs/reference/logs.md").read_text()
    rows = re.findall(r"^\| `(\w+\.\w+)` \| ([^|]*) \|", text, flags=re.MULTILINE)
    written = dict.fromkeys(logged())

    assert {event for event, _ in written} == {event for event, _ in rows}
    assert [] == [event for event, level in written if level not in dict(rows)[event]]


def logged():
    """(event, level) of every call of a logger."""
    for path in (ROOT / "qhronos").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log" | "logger"), attr=level) | ast.Name(id="write" as level),
                    args=[ast.Constant(value=str() as event), *_],
                ) if re.fullmatch(r"\w+\.\w+", event):
                    yield event, {"exception": "error", "write": "info"}.get(level, level)


def test_the_verification_for_receivers_accepts_and_refuses():
    ((_, program),) = blocks(ROOT / "docs/howto/verify-a-signature.md", "python")
    shown = {}
    exec(compile(program, "howto", "exec"), shown)  # noqa: S102 - our own page
    now = SystemClock().now()
    for secret in ("plain", "whsec_c2VjcmV0IGtleQ=="):
        headers = dict(sign([secret, "older"], "occ_1", now, b"{}"))

        assert shown["is_genuine"](secret, headers, b"{}")
        assert shown["is_genuine"]("older", headers, b"{}")
        assert not shown["is_genuine"](secret, headers, b"{ }")
        assert not shown["is_genuine"]("other", headers, b"{}")
        assert not shown["is_genuine"](secret, headers | {"webhook-timestamp": "1"}, b"{}")


def test_the_verification_of_callbacks_accepts_and_refuses():
    ((_, program),) = blocks(ROOT / "docs/howto/receive-callbacks.md", "python")
    shown = {}
    exec(compile(program, "howto", "exec"), shown)  # noqa: S102 - our own page
    headers = dict(sign_callback(["new", "older"], "occ_1", SystemClock().now(), b"{}"))

    assert shown["is_genuine"]("new", headers, b"{}")
    assert not shown["is_genuine"]("older", headers, b"{}")
    assert not shown["is_genuine"]("new", headers, b"{ }")
    assert not shown["is_genuine"]("new", headers | {"x-timestamp": "1"}, b"{}")


def test_the_callback_is_shown_as_it_is_sent():
    (_, body), (_, sent) = blocks(ROOT / "docs/howto/receive-callbacks.md", "json")

    event_body.new_fields_of(msgspec.json.decode(body, type=event_body.NewEvent), Egress(), {})
    assert json.loads(sent) == json.loads(msgspec.json.encode(msgspec.json.decode(sent, type=callback.Payload)))


UNITS = {"s": 1, "KiB": 1024}


def test_the_limits_of_the_client_are_those_that_are_listed():
    rows = re.search(r"<!-- limits -->\n.*\n.*\n((?:\|.*\n)+)", (ROOT / "docs/reference/http.md").read_text())[1]
    listed = [row.split("|")[2].replace(",", "").split() for row in rows.splitlines()]

    assert list(msgspec.structs.astuple(Limits())) == [
        float(n) * UNITS[unit[0]] if unit else float(n) for n, *unit in listed
    ]
