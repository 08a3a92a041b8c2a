"""Dockerfile and compose.yaml, read without an engine: what they name exists, and what must hold holds."""

import fnmatch
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from qhronos import config
from qhronos.cli import COMMANDS

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "qhronos"}
ROLES = {"api", "expander", "dispatcher", "janitor", "gateway"}
SECRETS = {
    "POSTGRES_PASSWORD": "it's a @secret/",
    "QHRONOS_AUTH__MASTER_TOKEN": "m" * 32,
    "QHRONOS_AUTH__JWT_SECRET": "j" * 32,
    "QHRONOS_HMAC__DEFAULT_SECRET": "h" * 32,
    "QHRONOS_SECRETS__KEYS": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
}


def interpolate(text, variables):
    """What compose makes of `${NAME}`, `${NAME:-default}` and `${NAME:?message}`."""

    def value(found):
        name, _, kind, rest = found.groups()
        if variables.get(name):
            return variables[name]
        assert kind, f"{name} has neither a default nor a message"
        if kind == "?":
            raise LookupError(f"{name}: {rest}")
        return rest

    return re.sub(r"\$\{(\w+)(:([-?])([^}]*))?\}", value, str(text))


def environment(service, variables):
    return {name: interpolate(value, variables) for name, value in service.get("environment", {}).items()}


def instructions():
    """(instruction, arguments) of the Dockerfile, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def all_of(name):
    return [arguments for instruction, arguments in instructions() if instruction == name]


def test_every_role_has_a_container_of_its_own():
    assert ROLES | {"migrate"} == set(OURS)
    assert {name: [name] for name in OURS} == {name: service["command"] for name, service in OURS.items()}
    assert set(OURS) <= set(COMMANDS)


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_settings_of_a_container_make_a_configuration(name):
    image = dict(pair.split("=", 1) for pair in shlex.split(all_of("ENV")[-1]))
    settings = config.load(None, image | environment(OURS[name], SECRETS))

    assert SECRETS["POSTGRES_PASSWORD"] == settings.database.password
    assert ("postgres", "redis://redis:6379/0") == (settings.database.host, config.redis_url(settings.redis))


def test_only_who_needs_a_secret_has_it():
    holders = {
        secret: {name for name, service in OURS.items() if secret in environment(service, SECRETS)}
        for secret in SECRETS
        if secret.startswith("QHRONOS_")
    }

    assert holders == {
        "QHRONOS_AUTH__MASTER_TOKEN": {"api", "gateway"},
        "QHRONOS_AUTH__JWT_SECRET": {"api", "gateway"},
        "QHRONOS_HMAC__DEFAULT_SECRET": {"dispatcher"},
        "QHRONOS_SECRETS__KEYS": {"api", "dispatcher", "janitor"},
    }


@pytest.mark.parametrize("secret", SECRETS)
def test_a_missing_secret_stops_the_start_and_says_how_to_set_it(secret):
    given = {name: value for name, value in SECRETS.items() if name != secret}

    with pytest.raises(LookupError, match=f"{secret}: set it in deploy/.env; docs/deployment.md says how"):
        [environment(service, given) for service in SERVICES.values()]


def test_no_secret_has_a_default():
    text = (ROOT / "deploy/compose.yaml").read_text()

    ports = {"POSTGRES_PORT", "REDIS_PORT", "QHRONOS_PORT", "QHRONOS_GATEWAY_PORT"}

    assert ports | {"QHRONOS_HTTP__EGRESS_ALLOW", "QHRONOS_GATEWAY__ORIGINS"} == set(re.findall(r"\$\{(\w+):-", text))


def test_ports_are_open_to_this_machine_alone():
    ports = [interpolate(port, {}) for service in SERVICES.values() for port in service.get("ports", [])]

    assert {"127.0.0.1:5432:5432", "127.0.0.1:6379:6379", "127.0.0.1:8080:8080", "127.0.0.1:8081:8080"} == set(ports)


def test_images_are_pinned_to_a_version():
    images = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    bases = [arguments.split()[0] for arguments in all_of("FROM")]

    assert all(re.search(r":\d", image) for image in [*images, *bases])
    assert 1 == len(set(bases))


def test_services_start_in_order_and_are_watched():
    for name, service in SERVICES.items():
        conditions = service.get("depends_on", {})

        assert set(conditions) <= set(SERVICES)
        assert all(("healthcheck" in SERVICES[other]) for other in conditions)
        assert name in OURS or "healthcheck" in service
    for name in ROLES:
        assert OURS[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "redis": {"condition": "service_healthy"},
        }
    assert "no" == OURS["migrate"]["restart"]


def test_containers_of_ours_may_do_little():
    for service in OURS.values():
        assert service["read_only"]
        assert ["ALL"] == service["cap_drop"]
        assert ["no-new-privileges:true"] == service["security_opt"]
        assert service["init"]


def test_a_container_has_the_time_that_a_drain_takes():
    assert all(int(service["stop_grace_period"].removesuffix("s")) > 25 for service in OURS.values())


def test_the_image_runs_as_nobody_in_particular_and_passes_signals_on():
    assert ["10001:10001"] == all_of("USER")
    assert ["qhronos"] == json.loads(all_of("ENTRYPOINT")[-1])
    assert json.loads(all_of("CMD")[-1])[0] in COMMANDS
    assert "SIGTERM" == all_of("STOPSIGNAL")[-1]


def test_the_health_check_is_a_program_that_python_can_read():
    (check,) = all_of("HEALTHCHECK")
    python, flag, program = json.loads(check.partition("CMD ")[2])

    assert ("python", "-c") == (python, flag)
    compile(program, "healthcheck", "exec")


def test_what_the_image_copies_is_there_and_is_not_ignored():
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    copied = [word for line in all_of("COPY") if "--from" not in line for word in line.split()[:-1]]

    assert "*" in rules
    assert set(allowed) == set(copied)
    assert all((ROOT / name).exists() for name in copied)
    assert any(fnmatch.fnmatch("qhronos/__pycache__", rule) for rule in rules)


def test_the_makefile_starts_services_that_exist():
    named = re.findall(r"up --detach --wait ([a-z ]+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)

    assert {"postgres", "redis"} == {name for names in named for name in names.split()}
