"""What it was measured on."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import qhronos
from tests.benchmarks.bed import Bed
from tests.benchmarks.peers.install import PLACE

LIBRARIES = ("psycopg", "redis", "hiredis", "httptools", "uvloop", "msgspec", "litestar", "uvicorn")


def described(bed: Bed) -> dict[str, str]:
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    with bed.emptied() as database_url:
        stores = bed.store_versions(database_url)
    return {
        "Processor": f"{os.cpu_count()} × {processor()}",
        "Memory": f"{memory:.0f} GiB",
        "System": f"{platform.system()} {platform.release()}",
        "Load before": f"{os.getloadavg()[0]:.1f}",
        "Receiver": bed.sink.kind,
        "Python": platform.python_version(),
        "Node": said("node", "--version"),
        "Qhronos": f"{qhronos.__version__}, {said('git', 'rev-parse', '--short', 'HEAD')}",
        **stores,
        "Libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "Peers": peers(),
    }


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def peers() -> str:
    """Those that are installed, with their versions."""
    wanted = ("aiohttp", "APScheduler", "arq", "celery", "dramatiq", "huey", "procrastinate", "rq")
    folders = [path.name for path in PLACE.glob("*/lib/python*/site-packages/*.dist-info")]
    found = {name.partition("-")[0].lower(): name.removesuffix(".dist-info").partition("-")[2] for name in folders}
    python = [f"{name} {found[name.lower()]}" for name in wanted if name.lower() in found]
    modules = PLACE / "node" / "node_modules"
    names = [name for name in ("bullmq", "graphile-worker", "pg-boss") if (modules / name).exists()]
    node = [f"{name} {json.loads((modules / name / 'package.json').read_text())['version']}" for name in names]
    return ", ".join(python + node) or "none"


def said(*command: str) -> str:
    if not shutil.which(command[0]):
        return "none"
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
