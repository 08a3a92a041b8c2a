"""The commands: what they say, what they ask the API, and how they end."""

import json
import re
import socket
import subprocess
import sys
from datetime import datetime, timedelta

import click
import pytest

from qhronos import cli
from qhronos.cli import client
from qhronos.clock import SystemClock
from qhronos.config import Config
from qhronos.errors import NotFound, QhronosError

EVENT = {
    "id": "0192",
    "key": None,
    "name": "hello",
    "description": "",
    "status": "active",
    "reason": None,
    "schedule": None,
    "start_time": "2026-12-24T18:00:00Z",
    "timezone": "Europe/Berlin",
    "next_due_at": "2026-12-24T18:00:00.250000Z",
    "action": {"type": "webhook", "params": {"url": "https://example.com/"}},
    "words": "once",
    "tags": ["a", "b"],
    "metadata": {"n": 1},
}
HEAVY = ("litestar", "psycopg", "redis", "uvicorn", "structlog", "msgspec", "yaml", "asyncio", "dateutil")


def commands(group=cli.cli, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_explains_itself(qhronos, path):
    code, out, _ = qhronos(*path, "--help")

    assert (0, True) == (code, out.startswith("Usage: qhronos " + " ".join(path)))


def test_the_overview_says_what_the_commands_say_of_themselves():
    own = {path[0]: command.help.splitlines()[0] for path, command in commands() if len(path) == 1}

    assert {name: words for name, (_, words) in cli.COMMANDS.items()} == own


@pytest.mark.parametrize(
    "arguments", ["--help", "--version", "event create --help", "occurrence list", "config --help"]
)
def test_a_client_command_loads_neither_servers_nor_stores(arguments):
    program = (
        "import sys; from qhronos import cli\n"
        f"sys.argv = ['qhronos', *{arguments.split()!r}]\n"
        "try: cli.main()\n"
        f"finally: print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)

    assert "[]" == ran.stderr.splitlines()[-1]


def test_an_unknown_command_is_wrong_usage_with_a_suggestion(qhronos):
    code, out, err = qhronos("evnt")

    assert (2, "") == (code, out)
    assert "Did you mean 'event'?" in err


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 1), (401, 4), (403, 4), (404, 3), (409, 6), (410, 3), (412, 6), (413, 1), (422, 1), (429, 7), (500, 1)],
)
def test_what_the_api_refuses_is_one_sentence_and_an_exit_code(qhronos, api, status, code):
    api.status, api.answer = status, {"error": "that cannot be", "request_id": "r-1"}

    ended, out, err = qhronos("event", "show", "0192")

    assert (code, "") == (ended, out)
    assert re.fullmatch(r"qhronos: .*that cannot be.*\n", err)


def test_throttling_says_when_to_come_back(qhronos, api):
    api.status, api.answer = 429, {"error": "Rate limit exceeded"}

    assert "qhronos: Rate limit exceeded; try again in 7 s\n" == qhronos("event", "list")[2]


def test_an_answer_from_elsewhere_is_called_so(qhronos, api):
    api.status, api.answer = 404, ["nginx"]

    assert "404 Not Found from something that is not Qhronos" in qhronos("event", "list")[2]


def test_an_api_that_is_away_is_one_sentence(qhronos):
    code, _, err = qhronos("event", "list", "--api", "http://127.0.0.1:1", "--token", "t")

    assert (9, 1) == (code, err.count("\n"))
    assert "cannot reach http://127.0.0.1:1" in err


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8080", "http://127.0.0.1:port"])
def test_a_url_that_is_none_is_one_sentence(qhronos, url):
    code, _, err = qhronos("event", "list", "--api", url)

    assert (9, 1) == (code, err.count("\n"))


def test_without_a_running_up_a_client_says_how_to_go_on(qhronos, tmp_path):
    code, _, err = qhronos("event", "list")

    assert 9 == code
    assert f"no `qhronos up` with an API runs on {tmp_path / 'data'}; start it, or set QHRONOS_URL\n" in err


def test_creating_an_event_sends_what_was_named_and_nothing_else(qhronos, api):
    api.answer = EVENT

    code, out, _ = qhronos(
        *("event", "create", "hello", "--url", "https://example.com/", "--at", "2026-12-24 18:00", "--tag", "a"),
        *("--tz", "Europe/Berlin", "--metadata", '{"n": 1}', "--schedule", "FREQ=DAILY", "--secret", "s", "-o", "id"),
    )
    ((method, path, body, headers),) = api.seen

    assert (0, "0192\n") == (code, out)
    assert ("POST", "/events") == (method, path)
    assert body == {
        "name": "hello",
        "action": {"type": "webhook", "params": {"url": "https://example.com/"}},
        "start_time": "2026-12-24T18:00:00",
        "timezone": "Europe/Berlin",
        "tags": ["a"],
        "metadata": {"n": 1},
        "schedule": "FREQ=DAILY",
        "hmac_secret": "s",
    }
    assert "Bearer t0ken" == headers["Authorization"]
    assert 32 == len(headers["Idempotency-Key"])


def test_a_method_or_a_body_makes_it_an_api_call(qhronos, api):
    api.answer = EVENT
    qhronos("event", "create", "call", "--url", "https://e/", "--header", "X-A: b:c", "--body", "{}", "--method", "PUT")

    params = {"method": "PUT", "url": "https://e/", "headers": {"X-A": "b:c"}, "body": "{}"}

    assert {"type": "apicall", "params": params} == api.seen[0][2]["action"]


def test_a_client_is_told_without_a_url(qhronos, api):
    api.answer = EVENT
    qhronos("event", "create", "call", "--client", "desk")
    code, _, err = qhronos("event", "create", "call", "--client", "desk", "--url", "https://e/")

    assert {"type": "websocket", "params": {"client_name": "desk"}} == api.seen[0][2]["action"]
    assert 2 == code
    assert "it goes without --url" in err


def test_secrets_are_sent_as_such(qhronos, api):
    api.answer = EVENT
    qhronos("event", "update", "0192", "--url", "https://e/", "--header", "X-A:b", "--secret-header", "Cookie: c")
    qhronos("event", "update", "0192", "--secret", "s", "--secret-overlap", "2d")

    assert {"X-A": "b", "Cookie": {"secret": "c"}} == api.seen[0][2]["action"]["params"]["headers"]
    assert {"hmac_secret": "s", "hmac_secret_overlap": 172_800} == api.seen[1][2]


def test_how_to_get_a_token_goes_along(qhronos, api):
    api.answer = EVENT
    auth = {"type": "oauth2", "token_url": "https://i/", "client_id": "a", "client_secret": "b"}
    for more in ([], ["--method", "PUT"]):
        qhronos("event", "update", "0192", "--url", "https://e/", "--auth", json.dumps(auth), *more)

    assert {"type": "webhook", "params": {"url": "https://e/", "auth": auth}} == api.seen[0][2]["action"]
    assert ("apicall", auth) == (api.seen[1][2]["action"]["type"], api.seen[1][2]["action"]["params"]["auth"])


def test_in_counts_from_now(qhronos, api):
    api.answer = EVENT
    before = SystemClock().now()
    qhronos("event", "create", "soon", "--url", "https://e/", "--in", "1h")

    delay = datetime.fromisoformat(api.seen[0][2]["start_time"]) - before

    assert timedelta(hours=1) <= delay < timedelta(hours=1, seconds=30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--in", "5s", "--at", "2026-12-24T18:00Z"], "--in and --at exclude each other"),
        (["--in", "soon"], "not a duration"),
        (["--at", "tomorrow"], "not a time; write it like 2026-12-24T18:00:00Z"),
        (["--metadata", "{n: 1}"], "not JSON"),
        (["--auth", "{}x"], "not JSON"),
        (["--schedule", '{"frequency"'], "not JSON"),
        (["--header", "X"], "write it like NAME:VALUE"),
        (["--body", "{}"], "an API call needs --url"),
        (["--auth", '{"a": 1}'], "--auth needs --url"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(qhronos, arguments, message):
    code, _, err = qhronos("event", "create", "x", "--api", "http://127.0.0.1:1", *arguments)

    assert 2 == code
    assert message in err


def test_an_instant_says_its_zone(qhronos, api):
    code, _, err = qhronos("occurrence", "list", "--since", "2026-12-24 18:00")

    assert (2, []) == (code, api.seen)
    assert "says nothing of its zone; end it with Z or an offset" in err


def test_lists_are_aligned_and_say_how_to_go_on(qhronos, api):
    api.answer = {"data": [EVENT, EVENT | {"name": "longer name"}], "pagination": {"limit": 2, "next_cursor": "c2"}}

    _, out, err = qhronos("event", "list", "--tag", "a", "--tag", "b", "--limit", "2", "--search", "x y")

    assert out.splitlines() == [
        "ID    NAME         STATUS  NEXT                      WHEN  TAGS",
        "0192  hello        active  2026-12-24 18:00:00.250Z  once  a, b",
        "0192  longer name  active  2026-12-24 18:00:00.250Z  once  a, b",
    ]
    assert "there are more: --cursor c2\n" == err
    assert "/events?q=x+y&tags=a&tags=b&limit=2" == api.seen[0][1]


def test_an_empty_list_is_said_and_is_no_failure(qhronos, api):
    api.answer = {"data": [], "pagination": {"next_cursor": None}}

    assert (0, "none\n", "") == qhronos("event", "list")


def test_json_is_the_answer_of_the_api(qhronos, api):
    api.answer = {"data": [EVENT], "pagination": {"next_cursor": "c"}}
    _, out, err = qhronos("event", "list", "-o", "json")

    assert (api.answer, "") == (json.loads(out), err)


@pytest.mark.parametrize(
    ("arguments", "request_line", "body"),
    [
        ("event show a/b", "GET /events/a%2Fb", None),
        ("event pause 1", "POST /events/1/pause", None),
        ("event resume 1 --backlog skip", "POST /events/1/resume", {"backlog": "skip"}),
        ("event skip 1 2026-12-24T18:00:00Z", "POST /events/1/skip", {"scheduled_at": "2026-12-24T18:00:00Z"}),
        ("event update 1 --name b", "PATCH /events/1", {"name": "b"}),
        (
            "event split 1 2026-12-24T18:00:00Z --name b --schedule FREQ=DAILY",
            "POST /events/1/split",
            {"scheduled_at": "2026-12-24T18:00:00Z", "name": "b", "schedule": "FREQ=DAILY"},
        ),
    ],
)
def test_commands_on_an_event_go_where_they_should(qhronos, api, arguments, request_line, body):
    api.answer = EVENT
    code, out, _ = qhronos(*arguments.split())
    method, path, sent, _ = api.seen[0]

    assert (0, request_line, body) == (code, f"{method} {path}", sent)
    assert "next:      2026-12-24 18:00:00.250Z\n" in out


def test_running_an_event_names_the_occurrence(qhronos, api):
    api.answer = EVENT | {"occurrence_id": "occ_1"}

    assert (0, "occ_1\n", "") == qhronos("event", "run", "1", "-o", "id")
    assert "POST /events/1/run" == " ".join(api.seen[0][:2])


OCCURRENCE = {
    "id": "occ_1",
    "event_id": "0192",
    "scheduled_at": "2026-12-24T18:00:00Z",
    "status": "failed",
    "reason": "HTTP 503",
    "origin": "once",
    "attempt": 3,
    "next_attempt_at": None,
    "move_to": None,
    "local": None,
    "finished_at": "2026-12-24T18:00:09Z",
}


def test_occurrences_are_listed_of_all_events_or_of_one(qhronos, api):
    api.answer = {"data": [OCCURRENCE], "pagination": {"next_cursor": None}}

    _, out, _ = qhronos(
        "occurrence", "list", "--status", "failed", "--status", "skipped", "--since", "2026-01-01T00:00Z"
    )
    qhronos("occurrence", "list", "0192")

    assert out.splitlines() == [
        "ID     EVENT  SCHEDULED             STATUS  ATTEMPTS  REASON",
        "occ_1  0192   2026-12-24 18:00:00Z  failed  3         HTTP 503",
    ]
    assert [
        "/occurrences?status=failed&status=skipped&since=2026-01-01T00%3A00%3A00Z&limit=50",
        "/events/0192/occurrences?limit=50",
    ] == [path for _, path, *_ in api.seen]


@pytest.mark.parametrize("command", ["show", "replay", "cancel"])
def test_one_occurrence_is_shown_side_by_side(qhronos, api, command):
    api.answer = OCCURRENCE
    code, out, _ = qhronos("occurrence", command, "occ_1")

    assert 0 == code
    assert ["id", "event", "scheduled", "status", "reason", "attempts", "origin", "finished"] == [
        line.split(":")[0] for line in out.splitlines()
    ]


@pytest.mark.parametrize(
    ("arguments", "request_line", "body"),
    [
        ("move occ_1 2026-12-25T18:00Z", "PATCH /occurrences/occ_1", {"move_to": "2026-12-25T18:00:00Z"}),
        ("move occ_1 --back", "PATCH /occurrences/occ_1", {"move_to": None}),
        ("payload occ_1 [1]", "PATCH /occurrences/occ_1", {"metadata": [1]}),
        (
            "override 1 2026-12-24T18:00Z --move-to 2026-12-25T18:00Z --metadata {}",
            "POST /events/1/override",
            {"scheduled_at": "2026-12-24T18:00:00Z", "move_to": "2026-12-25T18:00:00Z", "metadata": {}},
        ),
    ],
)
def test_one_occurrence_is_changed(qhronos, api, arguments, request_line, body):
    api.answer = OCCURRENCE | {"move_to": "2026-12-25T18:00:00Z"}
    code, out, _ = qhronos("occurrence", *arguments.split())

    assert (0, request_line, body) == (code, " ".join(api.seen[0][:2]), api.seen[0][2])
    assert "moved to:   2026-12-25 18:00:00Z\n" in out


@pytest.mark.parametrize(
    "arguments", ["move occ_1", "move occ_1 2026-12-25T18:00Z --back", "override 1 2026-12-24T18:00Z"]
)
def test_a_change_says_what_it_is(qhronos, api, arguments):
    assert (2, []) == (qhronos("occurrence", *arguments.split())[0], api.seen)


def test_a_comparison_shows_what_comes_and_goes_in_order(qhronos, api):
    first = {"at": "2026-03-08T07:30:00Z", "local": "2026-03-08T03:30:00-04:00"}
    second = {"at": "2026-03-09T07:30:00Z", "local": "2026-03-09T03:30:00-04:00"}
    api.answer = {"added": [first], "removed": [second], "kept": [first], "complete": False}

    code, out, err = qhronos("event", "diff", "1", "--schedule", "FREQ=DAILY", "-n", "5")

    assert (0, "1 stay\nthere are more: raise --limit, or name --since and --until\n") == (code, err)
    assert out.splitlines() == [
        "+ 2026-03-08 07:30:00Z  2026-03-08 03:30:00-04:00",
        "- 2026-03-09 07:30:00Z  2026-03-09 03:30:00-04:00",
    ]
    assert ("POST", "/events/1/diff", {"schedule": "FREQ=DAILY", "limit": 5}) == api.seen[0][:3]
    assert "1 stay\n" == (setattr(api, "answer", api.answer | {"complete": True}), qhronos("event", "diff", "1")[2])[1]
    assert api.answer == json.loads(qhronos("event", "diff", "1", "-o", "json")[1])


def test_a_ledger_says_whether_something_is_missing(qhronos, api):
    line = {"scheduled_at": "2026-03-08T07:30:00Z", "expected": True, "status": "passed_over", "attempts": 0}
    pagination = {"limit": 5, "next_cursor": None, "has_more": False}
    api.answer = {"data": [{**line, "reason": "paused"}], "pagination": pagination}
    api.answer |= {"expected": 1, "recorded": 1, "missing": 0}

    code, out, err = qhronos("event", "ledger", "1", "--since", "2026-03-08T00:00Z", "-n", "5")

    assert (0, "1 expected, 1 recorded, 0 missing\n") == (code, err)
    assert ["2026-03-08", "07:30:00Z", "yes", "passed", "over", "0", "paused"] == out.splitlines()[1].split()
    assert "/events/1/ledger?since=2026-03-08T00%3A00%3A00Z&limit=5" == api.seen[0][1]

    api.answer |= {"missing": 1}
    code, out, _ = qhronos("event", "ledger", "1", "-o", "json")
    assert (1, api.answer) == (code, json.loads(out))


def test_attempts_are_listed_with_what_was_answered(qhronos, api):
    attempt = {
        "attempt": 1,
        "outcome": "failed",
        "status_code": 503,
        "reason": "HTTP 503",
        "response": "come\nback  later",
        "started_at": "2026-12-24T18:00:00.001Z",
        "duration_ms": 12.3,
    }
    api.answer = {"data": [attempt], "pagination": {"next_cursor": None}}

    _, out, _ = qhronos("occurrence", "attempts", "occ_1")

    assert "1        failed   503   2026-12-24 18:00:00.001Z  HTTP 503  12 ms  come back later" == out.splitlines()[1]


def test_many_are_replayed_by_filter(qhronos, api):
    api.answer = {"matched": 2, "replayed": 0, "ids": ["occ_1", "occ_2"]}

    _, out, _ = qhronos("occurrence", "replay-failed", "--tag", "a", "--dry-run")
    _, ids, _ = qhronos("occurrence", "replay-failed", "-o", "id")

    assert ("2 failed, 0 replayed\n", "occ_1\nocc_2\n") == (out, ids)
    assert {"filter": {"tags": ["a"]}, "dry_run": True, "limit": 1000} == api.seen[0][2]


def test_changing_nothing_is_wrong_usage(qhronos, api):
    assert 2 == qhronos("event", "update", "1")[0]


def test_deleting_prints_nothing_on_standard_output(qhronos, api):
    api.status = 204

    assert (0, "", "deleted 1\n") == qhronos("event", "delete", "1")


def test_a_token_is_alone_on_standard_output(qhronos, api):
    api.answer = {"id": "7", "sub": "ci", "token": "ey.J", "expires_at": "2026-12-24T18:00:00Z"}
    code, out, _ = qhronos(
        "token", "create", "ci", "--access", "read", "--scope", "a", "--scope", "b", "--expires", "7d"
    )

    assert (0, "ey.J\n") == (code, out)
    assert {"sub": "ci", "access": "read", "scope": ["a", "b"], "expires_in": "7d"} == api.seen[0][2]


def test_statistics_are_lines(qhronos, api):
    api.answer = {"events": {"active": 3}, "closed": {"last_hour": {"failed": 2}}, "exact": False, "x": None}

    code, out, err = qhronos("stats")

    assert (0, "there is more than was counted\n") == (code, err)
    assert ["events, active:             3", "closed, last hour, failed:  2"] == out.splitlines()


def test_a_preview_shows_words_instants_and_clock_changes(qhronos, api):
    at = {"at": "2026-03-08T07:30:00Z", "local": "2026-03-08T03:30:00-04:00", "note": "02:30 does not exist that day"}
    change = {"at": "2026-03-08T07:00:00Z", "before": "-05:00", "after": "-04:00"}
    api.answer = {"words": "daily", "occurrences": [at], "warnings": ["odd"], "clock_changes": [change]}

    _, out, err = qhronos("preview", '{"frequency": "daily"}', "--tz", "America/New_York", "-n", "1")

    assert out.splitlines() == [
        "daily",
        "AT                    LOCAL                      NOTE",
        "2026-03-08 07:30:00Z  2026-03-08 03:30:00-04:00  02:30 does not exist that day",
    ]
    assert "odd\nthe clocks change at 2026-03-08 07:00:00Z  -05:00 to -04:00\n" == err
    assert {"schedule": {"frequency": "daily"}, "timezone": "America/New_York", "limit": 1} == api.seen[0][2]


def test_config_check_names_the_fault(qhronos, tmp_path):
    (tmp_path / "c.yaml").write_text("server: {prot: 1}")

    assert (0, "the configuration can be used\n", "") == qhronos("config", "check")
    assert (1, "", "qhronos: config: unknown key server.prot; did you mean server.port?\n") == qhronos(
        "config", "check", "-c", str(tmp_path / "c.yaml")
    )


def test_config_show_masks_secrets_unless_asked(qhronos, monkeypatch):
    monkeypatch.setenv("QHRONOS_AUTH__JWT_SECRET", "s3cret")

    masked, revealed = qhronos("config", "show")[1], qhronos("config", "show", "--reveal")[1]

    assert ("auth.jwt_secret: ********" in masked, "auth.jwt_secret: s3cret" in revealed) == (True, True)
    assert "server.port: 8080\n" in masked
    assert "rate_limit.enabled: true\n" in masked
    assert Config().server.host in masked


def test_every_error_has_an_exit_code():
    assert all(any(issubclass(kind, known) for known, _ in cli.EXIT_CODES) for kind in (QhronosError, NotFound))


def test_an_api_that_never_answers_is_told_from_one_that_is_away(qhronos, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, _, err = qhronos("stats", "--api", f"http://127.0.0.1:{silent.getsockname()[1]}")

    assert 8 == code
    assert "does not answer within 0.2 s" in err


def test_tls_to_a_server_without_is_one_sentence(qhronos, api):
    code, _, err = qhronos("stats", "--api", api.url.replace("http", "https"))

    assert (9, 1) == (code, err.count("\n"))


def test_an_interrupted_command_ends_without_a_word(qhronos, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(client.Api, "request", interrupt)

    assert (130, "", "\n") == qhronos("stats", "--api", "http://127.0.0.1:1")


def test_a_reader_that_has_enough_is_no_failure():
    command = f"{sys.executable} -m qhronos config show | head -n 1; echo $?"
    ran = subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, text=True)

    assert ("server.host: 127.0.0.1\n0\n", "") == (ran.stdout, ran.stderr)


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_the_version_says_which_zone_data_are_in_use(qhronos, arguments):
    code, out, _ = qhronos(*arguments)

    assert 0 == code
    assert re.fullmatch(r"qhronos \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+, tzdata 20\d\d[a-z]+\)\n", out)


def test_tokens_are_listed_and_revoked(qhronos, api):
    held = {"id": "7", "sub": "ci", "access": "read", "scope": ["a"], "expires_at": "2026-12-24T18:00:00Z"}
    api.answer = {"data": [held | {"revoked_at": None}], "pagination": {"next_cursor": None}}

    assert "7   ci   read    a      2026-12-24 18:00:00Z" == qhronos("token", "list")[1].splitlines()[1]

    api.status = 204

    assert (0, "", "revoked 7\n") == qhronos("token", "revoke", "7")


@pytest.mark.parametrize(
    "arguments", [["preview", "FREQ=DAILY"], ["stats"], ["token", "create", "x", "--access", "admin"]]
)
def test_programs_get_the_answer_as_it_came(qhronos, api, arguments):
    api.answer = {"any": ["thing"], "words": "daily"}

    assert api.answer == json.loads(qhronos(*arguments, "-o", "json")[1])


CALENDAR = {
    "name": "de",
    "country": "DE",
    "subdivision": None,
    "url": None,
    "weekend": ["SA", "SU"],
    "closed": 2,
    "known_until": "2036-12-31",
    "fetched_at": "2026-12-24T18:00:00Z",
    "next_fetch_at": None,
    "error": None,
    "updated_at": "2026-12-24T18:00:00Z",
}


def test_a_calendar_is_put_and_shown(qhronos, api):
    api.answer = {**CALENDAR, "dates": ["2026-12-25", "2026-12-26"]}

    code, out, _ = qhronos("calendar", "put", "de", "--country", "DE", "--weekend", "SA", "--weekend", "SU")

    assert ("PUT", "/calendars/de", {"country": "DE", "weekend": ["SA", "SU"]}) == api.seen[0][:3]
    assert (0, "closed:       2026-12-25, 2026-12-26") == (code, out.splitlines()[-1])
    assert out == qhronos("calendar", "show", "de")[1]


def test_a_calendar_of_a_file_is_put(qhronos, api, tmp_path):
    api.answer = {**CALENDAR, "country": None, "url": "https://e/…", "dates": [], "error": "url: answers with HTTP 404"}
    (tmp_path / "x.ics").write_text("BEGIN:VCALENDAR")

    _, out, _ = qhronos("calendar", "put", "de", "--file", str(tmp_path / "x.ics"))
    qhronos("calendar", "put", "de", "--url", "https://e/x.ics")

    assert [{"ics": "BEGIN:VCALENDAR"}, {"url": "https://e/x.ics"}] == [seen[2] for seen in api.seen]
    assert {"address:      https://e/…", "error:        url: answers with HTTP 404"} <= set(out.splitlines())


def test_calendars_are_listed_and_deleted(qhronos, api):
    api.answer = {"data": [CALENDAR], "pagination": {"next_cursor": None}}

    assert "de    DE  SA, SU   2 days  2036-12-31" == qhronos("calendar", "list")[1].splitlines()[1]
    api.status = 204
    assert (0, "", "deleted de\n") == qhronos("calendar", "delete", "de")


@pytest.mark.parametrize(
    ("rule", "sent"),
    [
        ("every first friday of month at 9am", "every first friday of month at 9am"),
        ("*/5 9-17 * * MON-FRI", "*/5 9-17 * * MON-FRI"),
        ('{"every": "5m"}', {"every": "5m"}),
    ],
)
def test_a_preview_sends_the_rule_as_it_is_written(qhronos, api, rule, sent):
    api.answer = {"words": "", "occurrences": [], "warnings": [], "clock_changes": []}

    qhronos("preview", rule, "--calendar", "de", "--roll", "nearest")

    assert {"schedule": sent, "calendars": ["de"], "roll": "nearest", "limit": 10} == api.seen[0][2]


@pytest.mark.parametrize(
    ("behind", "ahead", "told"),
    [
        (0, 0, "all events have them"),
        (3, 0, "3 events are still to follow"),
        (0, 2, "2 events have newer ones and wait for nodes that have them"),
    ],
)
def test_what_new_zone_rules_have_moved_is_a_table(qhronos, api, behind, ahead, told):
    change = {
        "event_name": "invoice",
        "event_id": "1",
        "change": "kept_back",
        "local": "2026-11-28T09:00:00",
        "timezone": "Asia/Amman",
        "before": "2026-11-28T07:00:00Z",
        "after": None,
        "tzdata_before": "2026e",
        "tzdata_after": "2026f",
    }
    page = {"data": [change, change | {"local": None}], "pagination": {"next_cursor": None}}
    api.answer = page | {"tzdata": "2026f", "behind": behind, "ahead": ahead}

    code, out, err = qhronos("tzdata", "report", "--event", "1")

    assert (0, f"zone rules 2026f; {told}\n") == (code, err)
    assert [
        "EVENT    CHANGE     LOCAL                           BEFORE                AFTER  RULES          EVENT ID",
        "invoice  kept back  2026-11-28 09:00:00 Asia/Amman  2026-11-28 07:00:00Z         2026e → 2026f  1",
        "invoice  kept back                                  2026-11-28 07:00:00Z         2026e → 2026f  1",
    ] == out.splitlines()
    assert "event_id=1" in api.seen[0][1]


def test_older_zone_rules_are_adopted_on_purpose(qhronos, api):
    api.answer = {"tzdata": "2026e", "adopted": 12}

    assert (0, "", "zone rules 2026e; 12 events will follow\n") == qhronos("tzdata", "adopt")
    assert ("POST", "/tzdata/adopt") == api.seen[0][:2]
