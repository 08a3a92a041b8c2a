"""Configuration: the Struct is the defaults; file, environment and flags fill it; what cannot be says so by name."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from msgspec import structs

from qhronos import config
from qhronos.config import Config
from qhronos.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.yaml"
FIRST_QHRONOS = """
server: {port: 8080, timeout: 30s}
database: {host: localhost, port: 5432, user: postgres, password: postgres, dbname: qhronos, sslmode: disable}
redis: {host: localhost, port: 6379, password: "", db: 0}
auth: {master_token: m, jwt_secret: s}
hmac: {default_secret: qhronos.io}
scheduler: {look_ahead_duration: 24h, expansion_interval: 5m, dispatch_worker_count: 1, grace_period: 2m}
retention: {events: 30d, occurrences: 7d, cleanup_interval: 1h}
archival: {check_period: 1h}
logging: {level: info, file_path: logs/qhronos.log, max_size: 100, max_backups: 5, max_age: 30}
dispatch_max_retries: 3
dispatch_retry_backoff: 5s
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


def test_the_example_equals_the_defaults():
    assert Config() == config.load(EXAMPLE, {})


def test_the_example_names_every_key_and_says_what_it_is_for():
    lines = EXAMPLE.read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if line.lstrip()[:1].isalpha() and not line.endswith(":")]
    uncommented = [lines[number] for number in keys if not lines[number - 1].lstrip().startswith("# ")]

    assert [] == uncommented
    assert len(config.leaves(Config())) == len(keys)


def test_the_file_of_the_first_qhronos_is_still_understood(write):
    loaded = config.load(write(FIRST_QHRONOS), {})

    assert timedelta(hours=24) == loaded.scheduler.look_ahead_duration
    assert loaded.redis.password is None


def test_flags_beat_environment_beats_file(write):
    path = write("server: {port: 1, host: file, timeout: 1s}")
    environ = {"QHRONOS_SERVER__PORT": "2", "QHRONOS_SERVER__HOST": "environment"}

    server = config.load(path, environ, {"server.port": 3, "server.timeout": None}).server

    assert (3, "environment", 1.0) == (server.port, server.host, server.timeout.total_seconds())


def test_well_known_names_are_understood_and_our_own_beat_them():
    environ = {"DATABASE_URL": "postgresql://a", "REDIS_URL": "redis://a", "PORT": "1", "QHRONOS_SERVER__PORT": "2"}
    loaded = config.load(None, environ)

    assert ("postgresql://a", "redis://a", 2) == (loaded.database.url, loaded.redis.url, loaded.server.port)


def test_every_key_can_be_set_in_the_environment():
    wanted = config.load(EXAMPLE, {})
    environ = {config.environment_name(key): config._spelled(value) for key, value in config.leaves(wanted).items()}
    environ = {name: "" if value == "None" else value for name, value in environ.items()}

    assert wanted == config.load(None, environ)


@pytest.mark.parametrize("spelled", ['["10.0.0.0/8", "::1/128"]', "10.0.0.0/8,::1/128", " 10.0.0.0/8 , ::1/128,"])
def test_lists_are_json_or_commas_in_the_environment(spelled):
    loaded = config.load(None, {"QHRONOS_HTTP__EGRESS_ALLOW": spelled})

    assert ("10.0.0.0/8", "::1/128") == loaded.http.egress_allow


def test_an_empty_list_is_a_list():
    assert () == config.load(None, {"QHRONOS_HTTP__EGRESS_ALLOW": ""}).http.egress_allow


def test_a_secret_may_stand_in_a_file(tmp_path):
    (tmp_path / "secret").write_text("from a file\n")

    loaded = config.load(None, {"QHRONOS_AUTH__JWT_SECRET_FILE": str(tmp_path / "secret")})

    assert "from a file" == loaded.auth.jwt_secret


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"QHRONOS_SERVER__PROT": "1"}, "QHRONOS_SERVER__PROT is not a setting; did you mean QHRONOS_SERVER__PORT"),
        ({"QHRONOS_SERVER__PORT": "http"}, "server.port: Expected `int`"),
        ({"QHRONOS_SERVER__PORT": "70000"}, "server.port: Expected `int` <= 65535"),
        ({"QHRONOS_LOGGING__LEVEL": "loud"}, "logging.level: must be one of debug, info, warning, error"),
        ({"QHRONOS_SCHEDULER__LEASE": "0"}, "scheduler.lease: must be longer than nothing"),
        ({"QHRONOS_SCHEDULER__LEASE": "30s"}, "scheduler.lease: at least 65s"),
        ({"QHRONOS_SCHEDULER__LEASE": "a while"}, "scheduler.lease: not a duration; write it like 30s"),
        ({"QHRONOS_HTTP__EGRESS_ALLOW": "[10.0.0.0/8"}, "http.egress_allow: starts like a JSON list"),
        ({"QHRONOS_HMAC__DEFAULT_SECRET_FILE": "/no/such"}, "cannot read /no/such: No such file"),
        (
            {"QHRONOS_HMAC__DEFAULT_SECRET_FILE": "/a", "QHRONOS_HMAC__DEFAULT_SECRET": "b"},
            "both QHRONOS_HMAC__DEFAULT_SECRET_FILE and QHRONOS_HMAC__DEFAULT_SECRET are set",
        ),
    ],
)
def test_what_the_environment_gets_wrong_is_said_by_name(environ, message):
    with pytest.raises(ConfigError) as refusal:
        config.load(None, environ)

    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server: {prot: 1}", "unknown key server.prot; did you mean server.port?"),
        ("herald: {}", "unknown key herald; `qhronos config show` lists the known ones"),
        ("server: 8080", "server is a section with keys"),
        ("- server", "expected sections such as `server:`, found list"),
        ("server: {port: 1", "is not YAML"),
        ("server:\n\tport: 1", "(line 2)"),
    ],
)
def test_what_the_file_gets_wrong_is_said_by_name(write, text, message):
    with pytest.raises(ConfigError) as refusal:
        config.load(write(text), {})

    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: No such file"):
        config.load(tmp_path / "none.yaml", {})


def test_an_empty_file_and_an_empty_section_are_the_defaults(write):
    assert Config() == config.load(write(""), {})
    assert Config() == config.load(write("server:\n"), {})


def test_no_message_repeats_a_secret(write):
    bad = ["auth: hunter2", 'auth: {jwt_previous_secrets: "[hunter2"}', "auth: {jwt_secret: [hunter2]}"]
    for text in bad:
        with pytest.raises(ConfigError) as refusal:
            config.load(write(text), {})

        assert "hunter2" not in str(refusal.value)


def test_secrets_are_masked_where_settings_are_shown():
    shown = config.build({"auth": {"jwt_secret": "s3cret", "jwt_previous_secrets": ["s3cret"]}})

    assert "s3cret" not in str(config.leaves(shown))
    assert "s3cret" == config.leaves(shown, masked=False)["auth.jwt_secret"]


def test_what_is_set_explicitly_is_known_by_its_keys(write):
    path = write("server: {host: x}")

    assert {"server.host", "database.url"} == config.explicit_keys(path, {"DATABASE_URL": "postgresql://"})


def test_another_process_gets_the_same_settings_from_the_environment():
    wanted = config.build(
        {
            "redis": {"prefix": "other", "url": "unix:///run/s?db=0"},
            "auth": {"jwt_previous_secrets": ["a,b", "c"]},
            "scheduler": {"prefetch": "0s", "lease": "90.5"},
            "rate_limit": {"enabled": False, "per_second": 0.5},
            "http": {"egress_allow": ["127.0.0.0/8"]},
        }
    )

    assert wanted == config.load(None, config.environment(wanted))
    assert {} == config.environment(Config())


def test_urls_are_made_of_their_parts():
    database = structs.replace(Config().database, host="db", password="it's a \\ 'secret'")
    redis = structs.replace(Config().redis, host="::1", password="a/b@c")

    assert (
        r"host='db' port='5432' user='qhronos' password='it\'s a \\ \'secret\'' dbname='qhronos' sslmode='prefer'"
        == config.database_url(database)
    )
    assert "redis://:a%2Fb%40c@[::1]:6379/0" == config.redis_url(redis)
    assert "redis://localhost:6379/0" == config.redis_url(Config().redis)


def test_urls_beat_their_parts():
    loaded = config.build({"database": {"url": "postgresql://x"}, "redis": {"url": "redis://x", "host": "y"}})

    assert ("postgresql://x", "redis://x") == (config.database_url(loaded.database), config.redis_url(loaded.redis))


def test_the_example_stays_plain_yaml():
    assert set(structs.asdict(Config())) == set(yaml.safe_load(EXAMPLE.read_text()))


def test_importing_the_configuration_starts_nothing_heavy():
    heavy = "asyncio, litestar, psycopg, redis, structlog, prometheus_client"
    program = f"import sys, qhronos.config; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert [] == json.loads(output)


CERTIFICATES = [{"hosts": ("a.test", "*.b.test"), "certificate": "c.pem", "key": None}]


def test_certificates_are_read_from_a_file_and_handed_on_in_the_environment(write):
    path = write("http: {client_certificates: [{hosts: [a.test, '*.b.test'], certificate: c.pem}]}")
    loaded = config.load(path, {})

    assert CERTIFICATES == list(config.leaves(loaded)["http.client_certificates"])
    assert loaded == config.load(None, config.environment(loaded))


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{hosts: [a.test]}", r"http.client_certificates\[0\]: .*missing required field `certificate`"),
        ("{hosts: [], certificate: c}", r"http.client_certificates\[0\].hosts: .*length"),
        ("{hosts: [a.test], certificate: c, pem: x}", r"http.client_certificates\[0\]: .*unknown field `pem`"),
    ],
)
def test_a_certificate_that_cannot_be_is_refused_by_its_place(write, entry, complaint):
    with pytest.raises(ConfigError, match=complaint):
        config.load(write(f"http: {{client_certificates: [{entry}]}}"), {})


def test_the_proxy_is_masked_as_it_may_hold_a_password():
    loaded = config.load(None, {"QHRONOS_HTTP__PROXY": "http://u:hunter2@proxy:3128"})

    assert "hunter2" not in str(config.leaves(loaded))
