"""Files in and out, and feeds."""

import io

import pytest

RESULT = {
    "index": 0,
    "status": 201,
    "name": "Tea",
    "words": "Every day",
    "next": ["2026-12-24T18:00:00Z"],
    "warnings": ["hot"],
}
REFUSED = {"index": 1, "status": 422, "name": "Cake", "error": "FREQ=NEVER", "warnings": []}
ANSWER = {"results": [RESULT], "dry_run": True, "created": 1, "edited": 0, "failed": 0, "warnings": ["line 1: PATH"]}
ICS = "BEGIN:VCALENDAR\nEND:VCALENDAR\n"
URL = ("--url", "https://example.com/")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_text(ICS)
    return path


@pytest.mark.parametrize(
    ("text", "kind"),
    [(ICS.encode(), "ics"), (b" [{}]", "json"), (b'{"events": []}', "json"), (b"@daily \xe4", "crontab")],
)
def test_a_dry_run_sends_the_file_as_what_it_looks_like(qhronos, api, file, text, kind):
    api.answer = ANSWER
    file.write_bytes(text)

    code, out, err = qhronos("import", str(file), *URL, "--tz", "Asia/Tokyo", "--tag", "a", "--dry-run")

    ((method, path, body, headers),) = api.seen
    assert ("POST", "/events/import", None) == (method, path, headers.get("Idempotency-Key"))
    assert body == {
        "format": kind,
        "text": text.decode("latin-1"),
        "tags": ["a"],
        "action": {"type": "webhook", "params": {"url": "https://example.com/"}},
        "timezone": "Asia/Tokyo",
        "dry_run": True,
    }
    assert (0, "line 1: PATH\n") == (code, err)
    assert "Tea   create  Every day  2026-12-24 18:00:00Z  hot" == out.splitlines()[1]


def test_without_a_terminal_nothing_is_written_unless_yes_is_said(qhronos, api, file, monkeypatch):
    api.answer = ANSWER
    monkeypatch.setattr("sys.stdin", io.StringIO())

    code, _, err = qhronos("import", str(file), *URL)

    assert (2, [True]) == (code, [seen[2]["dry_run"] for seen in api.seen])
    assert "say --yes" in err
    assert 0 == qhronos("import", str(file), *URL, "--yes", "--format", "ics")[0]
    assert [True, False] == [seen[2]["dry_run"] for seen in api.seen]


@pytest.mark.parametrize(("said", "code", "asked"), [("y", 0, [True, False]), ("n", 130, [True])])
def test_on_a_terminal_it_asks_first(qhronos, api, file, monkeypatch, said, code, asked):
    api.answer = ANSWER
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: said)

    assert code == qhronos("import", str(file), *URL)[0]
    assert asked == [seen[2]["dry_run"] for seen in api.seen]


def test_what_was_refused_ends_with_one(qhronos, api, file):
    api.answer = ANSWER | {"results": [RESULT | {"status": 200}, REFUSED], "created": 0, "edited": 1, "failed": 1}

    code, out, err = qhronos("import", str(file), "--yes")

    assert (1, True) == (code, "0 created, 1 edited, 1 refused" in err)
    assert ["edit", "REFUSE"] == [line.split()[1] for line in out.splitlines()[1:]]


def test_nothing_that_can_be_imported_asks_nothing(qhronos, api, file):
    api.answer = ANSWER | {"results": [REFUSED], "created": 0, "failed": 1}

    assert (1, True) == ((ended := qhronos("import", str(file)))[0], "nothing to import" in ended[2])
    assert 1 == len(api.seen)


def test_programs_get_the_import_as_it_came(qhronos, api, file):
    api.answer = ANSWER

    assert '"dry_run": true' in qhronos("import", str(file), "--dry-run", "-o", "json")[1]


def test_an_export_goes_where_it_should(qhronos, api, tmp_path):
    api.answer = {"events": []}
    path = tmp_path / "out.json"

    assert (0, "", f"wrote {path}\n") == qhronos("export", "--tag", "a", "--status", "active", "-o", str(path))
    assert '{"events": []}' == path.read_text()
    assert "/events/export?tags=a&status=active&format=json" == api.seen[0][1]


def test_an_export_goes_to_standard_output_by_itself(qhronos, api):
    api.answer = {"events": []}

    assert (0, '{"events": []}', "") == qhronos("export", "--format", "ics")
    assert "/events/export?format=ics" == api.seen[0][1]


def test_the_address_of_a_feed_is_alone_on_standard_output(qhronos, api):
    api.answer = {"id": "7", "url": "http://example.com/calendar/x.ics"}

    code, out, err = qhronos("feed", "create", "Tea", "--tag", "a", "--match", "all")

    assert (0, "http://example.com/calendar/x.ics\n") == (code, out)
    assert "qhronos feed delete 7" in err
    assert {"name": "Tea", "tags": ["a"], "tags_match": "all"} == api.seen[0][2]
    assert "7\n" == qhronos("feed", "create", "Tea", "-o", "id")[1]


def test_feeds_are_listed_and_deleted(qhronos, api):
    feed = {"id": "7", "name": "Tea", "tags": [], "scope": None, "created_by": "ada", "revoked_at": None}
    api.answer = {"data": [feed | {"created_at": "2026-12-24T18:00:00Z"}], "pagination": {"next_cursor": None}}
    _, out, _ = qhronos("feed", "list")
    api.status = 204

    assert "7   Tea                ada  2026-12-24 18:00:00Z" == out.splitlines()[1]
    assert (0, "", "deleted 7\n") == qhronos("feed", "delete", "7")


def test_a_file_comes_from_standard_input_or_is_missed(qhronos, api, monkeypatch):
    api.answer = ANSWER
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"@daily x")))

    assert 0 == qhronos("import", "-", "--yes")[0]
    assert "@daily x" == api.seen[0][2]["text"]
    assert (1, True) == ((ended := qhronos("import", "nowhere"))[0], "No such file" in ended[2])
