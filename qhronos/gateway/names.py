"""Who is connected here under which name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qhronos.gateway.client import Client
from qhronos.store.outbox import Asked, Look


class Names:
    """By name, the connections in the order in which they came."""

    def __init__(self) -> None:
        self._clients: dict[str, list[Client]] = {}

    def __bool__(self) -> bool:
        return bool(self._clients)

    def add(self, client: Client) -> bool:
        """Whether it is served: one that came later may have been quicker."""
        here = self._clients.get(client.name, [])
        if not client.is_shared and any(other.generation > client.generation for other in here):
            client.replaced()
            return False
        self.taken(client.name, client.generation, is_shared=client.is_shared)
        self._clients.setdefault(client.name, []).append(client)
        return True

    def remove(self, client: Client) -> None:
        here = self._clients[client.name]
        here.remove(client)
        if not here:
            del self._clients[client.name]

    def ring(self, names: Iterable[str]) -> None:
        for name in names:
            for client in self._clients.get(name, ()):
                client.ring()

    def taken(self, name: str, generation: int, *, is_shared: bool) -> None:
        """That connection is served, wherever it is; older ones are if the name is shared."""
        for client in self._clients.get(name, ()):
            if client.generation < generation:
                client.outdone(is_shared=is_shared)

    def asked(self) -> dict[str, Asked]:
        """What to look for."""
        return {
            name: Asked(min(client.generation for client in here), any(client.is_shared for client in here))
            for name, here in self._clients.items()
        }

    def look(self, asked: Mapping[str, Asked], looks: Iterable[Look]) -> None:
        """Let go of whom another is served in the place of, and ring whom something may wait for. Who was asked about and is
        not known any more comes back, to be known anew."""
        seen = {look.name: look for look in looks}
        for name, (oldest, _) in asked.items():
            look = seen.get(name)
            for client in self._clients.get(name, ()):
                if look is None or look.generation < oldest:
                    client.ask_back("this client was forgotten")
                else:
                    client.look(look)
