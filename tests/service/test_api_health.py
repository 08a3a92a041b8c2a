from __future__ import annotations

import msgspec
import pytest
from structlog.testing import capture_logs

from qhronos import __version__
from qhronos.api.health import create_health_app
from qhronos.api.readiness import Readiness
from qhronos.config import Auth, Hmac
from tests.service.api import CONFIG, open_api, open_app, open_deps

SECRETS = ("nobody-guesses", "signing-secret", "rizqme")


@pytest.mark.parametrize("path", ["/health", "/healthz"])
async def test_a_process_that_answers_is_alive_whatever_its_stores_do(api, path):
    await api.deps.database.close()

    response = await api.get(path, token=None)

    assert (200, {"status": "ok"}) == (response.status_code, response.json())


async def test_a_process_whose_stores_answer_is_ready(api):
    response = await api.get("/readyz", token=None)

    assert 200 == response.status_code
    assert {
        "status": "ready",
        "checks": {"postgres": "ok", "redis": "ok", "clock": "ok", "draining": False},
    } == response.json()


async def test_an_api_whose_clock_is_disputed_is_ready_and_says_so(api, clock):
    clock.skew = 5.1

    response = await api.get("/readyz", token=None)

    assert (200, "disputed") == (response.status_code, response.json()["checks"]["clock"])


async def test_a_dispatcher_whose_clock_is_disputed_is_not_ready(deps, clock):
    """Nothing is claimed by it."""
    clock.skew = 5.1
    readiness = Readiness(deps.database, deps.plan, clock, claims=True)
    async with open_app(create_health_app(readiness, clock)) as client:
        disputed = await client.get("/readyz")
        clock.skew = 4.9
        confirmed = await client.get("/readyz")

    assert (503, "disputed") == (disputed.status_code, disputed.json()["checks"]["clock"])
    assert (200, "ok") == (confirmed.status_code, confirmed.json()["checks"]["clock"])


async def test_a_draining_process_is_not_ready(api):
    await api.get("/readyz", token=None)
    api.deps.readiness.drain()

    response = await api.get("/readyz", token=None)

    assert (503, True) == (response.status_code, response.json()["checks"]["draining"])


async def test_a_process_without_redis_is_not_ready(database, clock):
    async with open_deps(database, "redis://127.0.0.1:1/0", "x", clock) as deps, open_api(deps) as api:
        with capture_logs() as logs:
            response = await api.get("/readyz", token=None)

    assert (503, "unavailable", "ok") == (
        response.status_code,
        response.json()["checks"]["redis"],
        response.json()["checks"]["postgres"],
    )
    assert "127.0.0.1" not in response.text
    assert "readiness.missed" in [line["event"] for line in logs]


async def test_a_process_without_postgres_is_not_ready(api):
    await api.deps.database.close()
    with capture_logs():
        response = await api.get("/readyz", token=None)

    assert (503, "unavailable") == (response.status_code, response.json()["checks"]["postgres"])


async def test_a_process_on_a_schema_that_it_does_not_know_is_not_ready(api):
    async with api.deps.database.connection() as conn:
        await conn.execute("UPDATE schema_migrations SET checksum = 'else'")
    with capture_logs():
        response = await api.get("/readyz", token=None)

    assert (503, "wrong schema") == (response.status_code, response.json()["checks"]["postgres"])


async def test_probes_do_not_reach_the_stores_more_than_once_a_second(api, clock):
    await api.get("/readyz", token=None)
    async with api.deps.database.connection() as conn:
        await conn.execute("UPDATE schema_migrations SET checksum = 'else'")
    with capture_logs():
        soon = await api.get("/readyz", token=None)
        clock.advance(1)
        later = await api.get("/readyz", token=None)

    assert (200, 503) == (soon.status_code, later.status_code)


async def test_the_status_is_true_and_has_the_shape_of_the_first_qhronos(api, clock):
    clock.advance(90)
    status = (await api.get("/status", token=None)).json()

    assert ("ok", 90, __version__) == (status["status"], status["uptime_seconds"], status["version"])
    assert {"issuer": "qhronos", "algorithm": "HS256", "max_exp_seconds": 365 * 86_400} == status["jwt"]
    assert "X-Qhronos-Signature" == status["hmac"]["signature_header"]
    assert status["hmac"]["event_override_supported"]
    assert status["tzdata"][:2] == "20"


async def test_what_is_public_shows_no_secret(database, redis_url, redis_prefix, clock):
    """The first Qhronos told everybody its default signing secret and a user's name."""
    config = msgspec.structs.replace(
        CONFIG,
        hmac=Hmac(default_secret="signing-secret"),
        auth=Auth(
            master_token=CONFIG.auth.master_token,
            jwt_secret=CONFIG.auth.jwt_secret,
            jwt_previous_secrets=("an-older-secret-that-nobody-guesses-either",),
        ),
    )
    async with open_deps(database, redis_url, redis_prefix, clock, config) as deps, open_api(deps) as api:
        for path in ("/status", "/health", "/healthz", "/readyz", "/metrics", "/schema", "/schema/openapi.json"):
            response = await api.get(path, token=None)

            assert 200 == response.status_code
            assert not [secret for secret in SECRETS if secret in response.text], path


async def test_metrics_are_in_the_text_format(api):
    await api.get("/health")
    response = await api.get("/metrics", token=None)

    assert response.headers["Content-Type"].startswith("text/plain")
    assert 'http_server_request_duration_seconds_count{method="GET",route="/health",status="200"}' in response.text


async def test_a_role_without_an_api_answers_probes_and_nothing_else(deps):
    async with open_app(create_health_app(deps.readiness, deps.clock)) as client:
        statuses = {
            path: (await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics", "/events")
        }

    assert {"/healthz": 200, "/readyz": 200, "/metrics": 200, "/events": 404} == statuses
