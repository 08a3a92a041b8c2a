"""How many dispatchers `up` runs, and what the further ones are told."""

import pytest

from qhronos.companions import companion_environment, dispatchers_for
from qhronos.config import Config, build, load


@pytest.mark.parametrize(("cores", "dispatchers"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (16, 8), (64, 8)])
def test_every_second_core_has_a_dispatcher_up_to_eight(cores, dispatchers):
    assert dispatchers == dispatchers_for(cores)


def test_a_further_dispatcher_has_the_settings_of_up_wherever_they_came_from():
    config = build({"database": {"url": "postgresql://here"}, "http": {"egress_allow": ["127.0.0.0/8"]}})
    told = companion_environment(config, 1, {})

    assert config == load(None, told)


def test_what_up_was_told_beats_what_its_environment_says():
    environ = {"PATH": "/bin", "PORT": "1", "DATABASE_URL": "postgresql://there", "QHRONOS_REDIS__URL_FILE": "/nowhere"}
    told = companion_environment(Config(), 1, environ)

    assert {"PATH": "/bin"} == told


def test_each_has_a_port_and_a_log_of_its_own():
    config = build({"health": {"port": 9100}, "logging": {"file_path": "/var/log/qhronos.log", "level": "debug"}})
    told = [load(None, companion_environment(config, number, {})) for number in (1, 2)]

    assert [9100, 9101] == [one.health.port for one in told]
    assert ["debug", "debug"] == [one.logging.level for one in told]
    assert ["/var/log/qhronos-dispatcher-1.log", "/var/log/qhronos-dispatcher-2.log"] == [
        one.logging.file_path for one in told
    ]
