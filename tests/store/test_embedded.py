"""The embedded stores, through everything that befalls a laptop."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from qhronos.embedded import Embedded, account
from qhronos.embedded.binaries import find_postgres
from qhronos.embedded.postgres import NOT_YET
from qhronos.embedded.processes import Account, Mode, run, wait_until
from qhronos.errors import ConfigError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")

HOLD = """
import sys
from pathlib import Path
from qhronos.embedded import Embedded

embedded = Embedded(Path(sys.argv[1]))
embedded.start()
print(*embedded.pids.values(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data directory with some data, at rest, for others to begin with."""
    folder = Path(tempfile.mkdtemp(prefix="qhronos-test-"))
    with Embedded(folder) as embedded:
        write(embedded, "made")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data(tmp_path: Path, made: Path) -> Path:
    return copy(made, tmp_path / "data")


def copy(folder: Path, to: Path) -> Path:
    """By cp, which leaves holes in files as holes: three times as quick."""
    subprocess.run(["cp", "-a", folder, to], check=True)  # noqa: S607 - it is in every PATH
    return to


def write(embedded: Embedded, word: str) -> None:
    with psycopg.connect(embedded.database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])
    with redis.from_url(embedded.redis_url) as client:
        client.rpush("words", word)


def words(embedded: Embedded) -> tuple[list[str], list[str]]:
    with psycopg.connect(embedded.database_url) as connection:
        in_postgres = [word for (word,) in connection.execute("SELECT word FROM words")]
    with redis.from_url(embedded.redis_url, decode_responses=True) as client:
        return in_postgres, client.lrange("words", 0, -1)


def allowed(mode: Mode) -> Account:
    """The unprivileged user in this mode, which a container may forbid."""
    candidate = account.borrowed(mode)
    works, _ = run(candidate, [account.program("true")])
    if not works:
        pytest.skip(f"this machine does not allow {mode}")
    return candidate


def family(pid: int) -> list[int]:
    """A process and what it forked."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def await_end(pid: int) -> None:
    """Returns when the process has ended, reaped or not; immediately if it is gone already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([descriptor], [], [], 20)
    os.close(descriptor)
    assert ended


def test_the_first_start_makes_the_stores_and_the_next_finds_what_was_written(tmp_path):
    data = tmp_path / "new" / "data"
    with Embedded(data) as embedded:
        write(embedded, "first")
    with Embedded(data) as embedded:
        found = words(embedded)

    assert (["first"], ["first"]) == found


def test_nothing_is_left_running_after_a_stop(data):
    embedded = Embedded(data)
    embedded.start()
    pids = embedded.pids.values()
    embedded.stop()
    embedded.stop()

    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not (data / "pg" / "postmaster.pid").exists()


def test_stores_that_are_not_durable_serve_as_well(tmp_path):
    with Embedded(tmp_path / "data", durable=False) as embedded:
        write(embedded, "a word")

        assert (["a word"], ["a word"]) == words(embedded)


@pytest.mark.parametrize("wanted", ["postgres", "valkey"])
def test_only_the_wanted_server_is_started(data, wanted):
    with Embedded(data, postgres=wanted == "postgres", valkey=wanted == "valkey") as embedded:
        assert [wanted] == list(embedded.pids)


@ON_LINUX
def test_killing_every_process_of_both_servers_loses_nothing(data):
    with Embedded(data) as embedded:
        write(embedded, "kept")
        for server in embedded.pids.values():
            for pid in family(server):
                os.kill(pid, signal.SIGKILL)
        for pid in embedded.pids.values():
            await_end(pid)

        assert ["postgres", "valkey"] == embedded.check()
        assert (["made", "kept"], ["made", "kept"]) == words(embedded)


@ON_LINUX
def test_a_postgres_is_started_again_when_the_last_of_its_children_has_gone(data):
    with Embedded(data, valkey=False) as embedded, psycopg.connect(embedded.database_url) as session:
        # A child that is busy takes a while to notice that its parent is gone; this one takes for ever.
        os.kill(session.info.backend_pid, signal.SIGSTOP)
        os.kill(embedded.pids["postgres"], signal.SIGKILL)
        await_end(embedded.pids["postgres"])
        with ThreadPoolExecutor(1) as thread:
            started_again = thread.submit(embedded.check)
            assert wait_until(lambda: NOT_YET in (data / "postgres.log").read_text(), 20)
            os.kill(session.info.backend_pid, signal.SIGKILL)

            assert ["postgres"] == started_again.result()


def test_while_all_is_well_a_check_starts_nothing(data):
    with Embedded(data) as embedded:
        before = embedded.pids

        assert [] == embedded.check()
        assert before == embedded.pids


def test_a_directory_that_is_held_is_refused_by_name_and_process(data):
    with Embedded(data, postgres=False) as holder:
        with pytest.raises(ConfigError, match=rf"another qhronos \(process {os.getpid()}\) holds {data}"):
            Embedded(data).start()

        assert [] == holder.check()


@ON_LINUX
def test_when_the_holder_is_killed_its_servers_end_and_the_next_start_finds_everything(data):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        pids = [int(pid) for pid in holder.stdout.readline().split()]
        holder.kill()
    for pid in pids:
        await_end(pid)
    with Embedded(data) as embedded:
        assert (["made"], ["made"]) == words(embedded)


def test_servers_that_outlived_their_holder_are_ended_before_new_ones_start(data):
    orphaned = Embedded(data)
    orphaned.start()
    write(orphaned, "from before")
    orphaned._home.close()  # as when the holder dies where no signal tells its children

    with Embedded(data) as embedded:
        assert (["made", "from before"], ["made", "from before"]) == words(embedded)
        assert ["postgres", "valkey"] == [server.name for server in orphaned._servers if not server.is_alive]
    orphaned.stop()


@pytest.mark.parametrize("pid", ["{ours}", "4194305", "nonsense"])
def test_a_pid_file_that_names_no_server_of_ours_is_disregarded(data, pid):
    pid = pid.format(ours=os.getpid())
    (data / "pg" / "postmaster.pid").write_text(f"{pid}\n{data / 'pg'}\n")
    (data / "valkey" / "pid").write_text(f"{pid}\n")

    with Embedded(data) as embedded:
        assert (["made"], ["made"]) == words(embedded)


def test_a_half_made_cluster_is_made_anew(tmp_path):
    draft = tmp_path / "pg.draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")

    with Embedded(tmp_path, valkey=False, durable=False):
        assert not draft.exists()


def test_a_cluster_that_cannot_be_made_leaves_none_behind(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {"postgres": "echo 'postgres (PostgreSQL) 18.1'", "initdb": "echo no room; exit 1"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("QHRONOS_PG_BINDIR", str(programs))

    with pytest.raises(ConfigError, match="postgres does not start: no room; see"):
        Embedded(tmp_path / "data").start()
    assert not (tmp_path / "data" / "pg").exists()


@pytest.mark.parametrize("name", ["x" * 140, "a, b", "ein Löffel 50%"], ids=["long", "comma", "odd"])
def test_any_path_will_do(made, tmp_path, name):
    data = copy(made, tmp_path / name)
    with Embedded(data) as embedded:
        sockets = (data / "run").resolve()

        assert (["made"], ["made"]) == words(embedded)
    assert data in sockets.parents or not sockets.exists()


def test_files_that_valkey_cannot_read_are_set_aside(data):
    (log,) = (data / "valkey" / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"*1\r\nnonsense")

    with Embedded(data) as embedded:
        assert (["made"], []) == words(embedded)
    assert (data / "valkey.unreadable" / "appendonlydir" / log.name).exists()


def test_a_cluster_of_another_major_version_is_left_alone(data):
    (data / "pg" / "PG_VERSION").write_text("12\n")

    with pytest.raises(ConfigError, match="was made by Postgres 12, but here is Postgres"):
        Embedded(data).start()


def test_what_the_system_refuses_is_told_in_a_sentence(tmp_path):
    (tmp_path / "pg.draft").write_text("in the way")

    with pytest.raises(ConfigError, match=r"postgres does not start: .*File exists: .*pg\.draft"):
        Embedded(tmp_path).start()


def test_a_directory_of_another_user_is_refused(tmp_path):
    if os.geteuid() == 0:
        os.chown(tmp_path, account.borrowed(Mode.SETUID).uid, -1)
    else:
        tmp_path = Path("/etc")

    with pytest.raises(ConfigError, match="belongs to another user"):
        Embedded(tmp_path).start()


def test_a_start_that_fails_halfway_leaves_nothing_running_and_nothing_held(data, monkeypatch):
    monkeypatch.setenv("QHRONOS_REDIS_BIN", shutil.which("false"))
    with pytest.raises(ConfigError, match="valkey does not start"):
        Embedded(data).start()
    monkeypatch.delenv("QHRONOS_REDIS_BIN")

    assert not (data / "pg" / "postmaster.pid").exists()
    with Embedded(data) as embedded:
        assert (["made"], ["made"]) == words(embedded)


@AS_ROOT
@pytest.mark.parametrize("mode", [Mode.USERNS, Mode.SETUID])
def test_root_runs_postgres_in_either_mode(data, mode):
    with Embedded(data, account=allowed(mode)) as embedded:
        assert (["made"], ["made"]) == words(embedded)


@AS_ROOT
def test_a_cluster_follows_the_account_that_runs_it(data):
    for mode in (Mode.SETUID, Mode.USERNS, Mode.SETUID):
        with Embedded(data, account=allowed(mode)) as embedded:
            write(embedded, mode)

    assert account.borrowed(Mode.SETUID).uid == (data / "pg" / "base").stat().st_uid


@AS_ROOT
def test_programs_out_of_the_accounts_reach_are_copied_into_it(data, tmp_path, monkeypatch):
    wheel = find_postgres(data / "pg").bindir.parents[1]
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, hidden / part.name, symlinks=True, copy_function=os.link)
    monkeypatch.setenv("QHRONOS_PG_BINDIR", str(hidden / wheel.name / "pginstall" / "bin"))

    with Embedded(data, account=account.borrowed(Mode.SETUID)) as embedded:
        assert (["made"], ["made"]) == words(embedded)


@AS_ROOT
def test_a_directory_that_the_account_cannot_reach_is_refused(tmp_path):
    tmp_path.chmod(0o700)

    with pytest.raises(ConfigError, match="out of reach"):
        Embedded(tmp_path / "data", account=account.borrowed(Mode.SETUID)).start()


@AS_ROOT
def test_the_account_is_found_by_trying():
    found = account.choose()

    assert Account(found.mode, *account.borrowed(found.mode)[1:]) == found
    assert found.mode is not Mode.PLAIN
