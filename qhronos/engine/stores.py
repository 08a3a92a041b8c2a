"""The three things that services work on, handed around as one."""

from __future__ import annotations

from typing import NamedTuple

from qhronos.broadcast import Broadcast
from qhronos.plan import Plan
from qhronos.store import Database


class Stores(NamedTuple):
    database: Database
    plan: Plan
    broadcast: Broadcast
