"""What every route has in common: bodies, refusals, ids of requests, logs, the rate limit."""

from __future__ import annotations

import msgspec
import pytest
from structlog.testing import capture_logs

from qhronos import metrics
from qhronos.api.access import FAILURES_BURST, FAILURES_PER_SECOND
from qhronos.api.auth import Access
from qhronos.api.problems import STATUS
from qhronos.config import RateLimit, Server
from tests.service.api import CONFIG, MASTER, open_api, open_deps

JSON = {"Content-Type": "application/json"}
LIMITED = msgspec.structs.replace(CONFIG, rate_limit=RateLimit(per_second=0.001, burst=3))


async def test_an_unknown_route_is_a_problem_too(api):
    response = await api.get("/nowhere", token=None)

    assert 404 == response.status_code
    assert "application/problem+json" == response.headers["Content-Type"]
    assert "urn:qhronos:not-found" == response.json()["type"]
    assert response.headers["X-Request-ID"] == response.json()["request_id"]
    assert response.json()["detail"] == response.json()["error"]


async def test_a_method_that_a_route_does_not_take_is_refused_with_those_it_does(api):
    response = await api.send("PUT", "/tokens")

    assert 405 == response.status_code
    assert "GET, HEAD, OPTIONS, POST" == response.headers["Allow"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/tokens", "GET, HEAD, OPTIONS, POST"),
        ("/tokens/x", "DELETE, OPTIONS"),
        ("/events", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_options_says_which_methods_a_route_takes(api, path, methods):
    response = await api.send("OPTIONS", path, token=None)

    assert (204, methods, b"") == (response.status_code, response.headers["Allow"], response.content)


async def test_head_is_get_without_the_body(api):
    got, headed = await api.get("/status"), await api.send("HEAD", "/status")

    assert (200, b"") == (headed.status_code, headed.content)
    assert got.headers["Content-Length"] == headed.headers["Content-Length"]
    assert 401 == (await api.send("HEAD", "/stats", token=None)).status_code
    assert 405 == (await api.send("HEAD", "/tokens/x")).status_code


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"sub": "ada"', "application/json", 400),
        (b"", "application/json", 400),
        (b'{"sub": "a\\u0000"}', "application/json", 400),
        (b"[" * 50_000, "application/json", 422),  # not an object: nobody looks inside
        (b'{"scope": ' + b"[" * 50_000, "application/json", 422),
        (b'{"sub": "ada"}', "text/plain", 415),
        (b'{"sub": "ada"}', "application/x-www-form-urlencoded", 415),
        (b'{"sub": "ada"}', "multipart/form-data; boundary=x", 415),
        (b'{"sub": 7}', "application/json", 422),
        (b'{"sub": "ada", "colour": 1}', "application/json; charset=utf-8", 422),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused(api, body, kind, status):
    response = await api.post("/tokens", content=body, headers={"Content-Type": kind})

    assert status == response.status_code


async def test_a_body_may_come_without_saying_what_it_is(api):
    body = msgspec.json.encode({"sub": "ada", "access": "read", "scope": ["a"], "expires_in": 60})

    assert 200 == (await api.post("/tokens", content=body)).status_code


async def test_an_unknown_field_is_refused_by_name(api):
    response = await api.post("/tokens", {"sub": "ada", "colour": "red"})

    assert (422, "colour") == (response.status_code, response.json()["field"])


async def test_a_body_larger_than_the_server_takes_is_refused(database, redis_url, redis_prefix, clock):
    config = msgspec.structs.replace(CONFIG, server=Server(max_body=1000))
    async with open_deps(database, redis_url, redis_prefix, clock, config) as deps, open_api(deps) as api:
        response = await api.post("/tokens", content=b" " * 1001, headers=JSON)

        assert (413, "urn:qhronos:too-large") == (response.status_code, response.json()["type"])


async def test_a_caller_that_goes_away_in_the_middle_of_a_body_is_no_fault_of_ours(api):
    messages = iter([{"type": "http.request", "body": b'{"sub"', "more_body": True}, {"type": "http.disconnect"}])
    answers = []

    async def receive():
        return next(messages)

    async def send(message):
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/tokens",
        "raw_path": b"/tokens",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {MASTER}".encode())],
    }
    with capture_logs() as logs:
        await api.app(scope, receive, send)

    assert 400 == answers[0]["status"]
    assert ["request.handled"] == [line["event"] for line in logs]


async def test_a_query_parameter_that_a_route_does_not_know_is_refused_by_name(api):
    listed = await api.get("/audit?actr=ada")
    plain = await api.get("/stats?verbose=1")

    assert (400, "actr") == (listed.status_code, listed.json()["field"])
    assert "did you mean 'actor'?" in listed.json()["detail"]
    assert (400, "verbose") == (plain.status_code, plain.json()["field"])


@pytest.mark.parametrize("sane", ["7f1c", "a" * 128, "!~{}"])
async def test_a_sane_request_id_is_kept(api, sane):
    response = await api.get("/health", headers={"X-Request-ID": sane})

    assert sane == response.headers["X-Request-ID"]


@pytest.mark.parametrize("insane", ["", "a" * 129, "a b", "a\tb", "ü".encode("latin-1")])
async def test_any_other_request_id_is_replaced(api, insane):
    response = await api.get("/health", headers={"X-Request-ID": insane})

    assert response.headers["X-Request-ID"] not in ("", insane)


async def test_a_request_is_logged_once_with_its_route_and_not_its_secrets(api):
    with capture_logs() as logs:
        await api.delete("/tokens/01a1fbd8-d3d8-73a5-b8ec-9b21d3b54efd", headers={"X-Request-ID": "r1"})
        await api.get("/readyz")

    expected = {
        "event": "request.handled",
        "log_level": "info",
        "method": "DELETE",
        "route": "/tokens/{token_id}",
        "status": 404,
        "subject": "master",
        "request_id": "r1",
    }
    assert expected == {name: value for name, value in logs[0].items() if name != "took_ms"}
    assert ("/readyz", "debug") == (logs[1]["route"], logs[1]["log_level"])
    assert MASTER not in str(logs)


async def test_a_request_is_measured_by_its_template(api):
    def count() -> float:
        labels = {"route": "/tokens/{token_id}", "method": "DELETE", "status": "404"}
        return metrics.REGISTRY.get_sample_value("http_server_request_duration_seconds_count", labels) or 0

    before = count()
    await api.delete("/tokens/01a1fbd8-d3d8-73a5-b8ec-9b21d3b54efd")
    await api.delete("/tokens/junk")

    assert before + 2 == count()


async def test_a_bug_is_answered_without_its_cause(api):
    async with api.deps.database.connection() as conn:
        await conn.execute("DROP TABLE audit")
    with capture_logs() as logs:
        response = await api.get("/audit")

    assert 500 == response.status_code
    assert "see the server log" == response.json()["error"]
    assert "audit" not in response.text.replace("/audit", "")
    assert ["request.broke", "request.handled"] == [line["event"] for line in logs]


async def test_an_outage_is_503_with_when_to_come_back(api):
    await api.deps.database.close()
    with capture_logs():
        response = await api.get("/audit")

    assert (503, "1") == (response.status_code, response.headers["Retry-After"])
    assert "urn:qhronos:unavailable" == response.json()["type"]


async def test_every_authenticated_answer_says_what_is_left(database, redis_url, redis_prefix, clock):
    async with open_deps(database, redis_url, redis_prefix, clock, LIMITED) as deps, open_api(deps) as api:
        answers = [await api.get(path) for path in ("/stats", "/stats?unknown=1", "/tokens/unknown", "/stats")]

        assert [200, 400, 405, 200] == [answer.status_code for answer in answers]
        assert ["2", "1", None, "0"] == [answer.headers.get("X-RateLimit-Remaining") for answer in answers]
        for answer in (answers[0], answers[1], answers[3]):
            for prefix in ("RateLimit", "X-RateLimit"):
                assert "3" == answer.headers[f"{prefix}-Limit"]
                assert answer.headers[f"{prefix}-Remaining"].isdecimal()
                assert int(answer.headers[f"{prefix}-Reset"]) > 0


async def test_too_many_requests_are_429_with_whole_seconds(database, redis_url, redis_prefix, clock):
    async with open_deps(database, redis_url, redis_prefix, clock, LIMITED) as deps, open_api(deps) as api:
        answers = [await api.get("/stats") for _ in range(4)]

        assert [200, 200, 200, 429] == [answer.status_code for answer in answers]
        assert "Rate limit exceeded" == answers[3].json()["error"]
        assert int(answers[3].headers["Retry-After"]) >= 1
        assert "0" == answers[3].headers["RateLimit-Remaining"]


async def test_the_limit_is_kept_by_token_subject_and_shared_by_all_processes(database, redis_url, redis_prefix, clock):
    """The first Qhronos kept it by address, which the caller could choose."""
    async with (
        open_deps(database, redis_url, redis_prefix, clock, LIMITED) as deps,
        open_deps(database, redis_url, redis_prefix, clock, LIMITED) as other,
        open_api(deps) as here,
        open_api(other) as there,
    ):
        ada, bob = (here.token(Access.READ, "a", sub=sub) for sub in ("ada", "bob"))
        disguised = {"X-Forwarded-For": "10.9.8.7"}
        for api in (here, there, here):
            await api.get("/stats", token=ada)

        assert 429 == (await there.get("/stats", token=ada, headers=disguised)).status_code
        assert 200 == (await there.get("/stats", token=bob)).status_code


async def test_a_limit_that_is_off_costs_nothing_and_says_nothing(database, clock):
    config = msgspec.structs.replace(CONFIG, rate_limit=RateLimit(enabled=False))
    async with open_deps(database, "redis://127.0.0.1:1/0", "x", clock, config) as deps, open_api(deps) as api:
        with capture_logs() as logs:
            response = await api.get("/stats")

        assert 200 == response.status_code
        assert not any("ratelimit" in name.lower() for name in response.headers)
        assert ["request.handled"] == [line["event"] for line in logs]


async def test_without_redis_the_limit_is_kept_here_and_nothing_breaks(database, clock):
    """The first Qhronos answered 500 to everything."""
    async with open_deps(database, "redis://127.0.0.1:1/0", "x", clock, LIMITED) as deps, open_api(deps) as api:
        with capture_logs() as logs:
            statuses = [(await api.get("/stats")).status_code for _ in range(4)]

        assert [200, 200, 200, 429] == statuses
        assert 1 == [line["event"] for line in logs].count("ratelimit.kept_locally")


async def test_guessing_at_tokens_is_slowed_down_by_address(api, clock):
    tries = FAILURES_BURST + 5
    disguises = ({"X-Forwarded-For": f"10.0.0.{number}"} for number in range(tries))
    statuses = [(await api.get("/stats", token="guess", headers=disguise)).status_code for disguise in disguises]

    assert [401] * FAILURES_BURST + [429] * 5 == statuses
    assert 200 == (await api.get("/stats")).status_code

    clock.advance(1 / FAILURES_PER_SECOND)

    assert 401 == (await api.get("/stats", token="guess")).status_code


async def test_two_authorization_headers_are_one_too_many(api):
    headers = [("Authorization", f"Bearer {MASTER}"), ("Authorization", f"Bearer {MASTER}")]
    response = await api.client.get("/stats", headers=headers)

    assert (401, "Invalid authorization header format") == (response.status_code, response.json()["error"])


async def test_every_problem_has_its_place_in_the_description(api):
    described = (await api.get("/schema/openapi.json", token=None)).json()

    assert {kind.__name__ for kind in STATUS} | {"UnsupportedMedia"} == set(described["components"]["responses"])
