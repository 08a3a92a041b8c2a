"""What services work on, handed around as one."""

from __future__ import annotations

from typing import NamedTuple

from qhronos.broadcast import Broadcast
from qhronos.core.vault import Vault
from qhronos.engine.announce import Announcer
from qhronos.plan import Plan
from qhronos.store import Database


class Stores(NamedTuple):
    database: Database
    plan: Plan
    broadcast: Broadcast
    announcer: Announcer  # of this process; whoever opens the stores lets it run
    vault: Vault = Vault()  # nothing in it: secrets are refused
