"""The secrets of events: sealed as they are written, opened to sign and to send, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from qhronos import actions
from qhronos.actions.hidden import CLIENT_SECRET, field_of, words_for
from qhronos.core.event import Policies
from qhronos.core.vault import RANDOM_BYTES, Vault, place_of
from qhronos.errors import Conflict, Invalid, Locked
from qhronos.store.events import Event
from qhronos.store.pending import Claimed
from qhronos.store.secrets import Sealed

DEFAULT_OVERLAP = 86_400.0
HMAC, HEADERS = "hmac_secret", "headers"
CALLBACKS = ("on_success", "on_failure")

# By action (`action` or the name of a callback, and where in it another stands), then by header; what else is secret in an
# action has a name of its own.
Values: TypeAlias = Mapping[str, Mapping[str, str | None]]
Actions: TypeAlias = Mapping[str, msgspec.Raw]

_headers = msgspec.json.Decoder(dict[str, dict[str, str]])
_policies = msgspec.json.Decoder(Policies)


class Given(Struct, frozen=True):
    """What a client said. UNSET: nothing. `headers` are those of the actions that it gave, None for a value that is to
    stay."""

    hmac_secret: str | msgspec.UnsetType | None = msgspec.UNSET
    overlap: float | msgspec.UnsetType | None = msgspec.UNSET  # seconds
    headers: Values = {}

    @property
    def is_nothing(self) -> bool:
        return self.hmac_secret is msgspec.UNSET and self.overlap is msgspec.UNSET and not self.headers


def actions_of(event: Event) -> Actions:
    """What it does, what tells of it, and what is done in the place of these."""
    policies = _policies.decode(event.policies)
    told = {name: getattr(policies, name) for name in CALLBACKS}
    encoded = {name: msgspec.Raw(msgspec.json.encode(action)) for name, action in told.items() if action}
    outer = {"action": event.action} | encoded
    inner = {within(name): fallback for name, stored in outer.items() if (fallback := actions.fallback_of(stored))}
    return outer | inner


def within(action: str) -> str:
    """Where the fallback of that action stands."""
    return f"{action}.{actions.FALLBACK}"


def seal_new(vault: Vault, event_id: UUID, given: Given) -> Sealed | None:
    """Of a new event; None if it has none. Raises Invalid."""
    values = {
        action: {name: _required(value, action, name) for name, value in headers.items()}
        for action, headers in given.headers.items()
    }
    hmac = _seal(vault, HMAC, event_id, given.hmac_secret) if given.hmac_secret else None
    sealed = Sealed(id=event_id, hmac_sealed=hmac, headers_sealed=_seal_headers(vault, event_id, values))
    return sealed if sealed.hmac_sealed or sealed.headers_sealed else None


def seal_edit(vault: Vault, before: Sealed, given: Given, was: Actions, become: Actions, now: datetime) -> Sealed:
    """What becomes of the secrets as the actions change. Raises Invalid, and Conflict for what is to stay and cannot be
    opened."""
    after = _resigned(vault, before, given, now)
    if not given.headers:
        return after
    hidden = {action: actions.hidden_in(stored) for action, stored in become.items()}
    said = {action: {name: given.headers.get(action, {}).get(name) for name in hidden[action]} for action in become}
    kept = {action: [name for name, value in headers.items() if value is None] for action, headers in said.items()}
    known = _kept(vault, before, kept, was, become) if any(kept.values()) else {}
    values = {
        action: {name: known[action][name.lower()] if value is None else value for name, value in headers.items()}
        for action, headers in said.items()
    }
    return msgspec.structs.replace(after, headers_sealed=_seal_headers(vault, before.id, values))


def transplant(vault: Vault, sealed: Sealed, event_id: UUID) -> Sealed:
    """The same for another event. Raises Conflict."""

    def moved(column: str, secret: bytes | None) -> bytes | None:
        return None if secret is None else _seal(vault, column, event_id, _open(vault, column, sealed.id, secret))

    try:
        whole = _all_sealed(vault, sealed)
        return Sealed(
            id=event_id,
            hmac_sealed=moved(HMAC, whole.hmac_sealed),
            hmac_previous=moved(HMAC, whole.hmac_previous),
            hmac_previous_until=whole.hmac_previous_until,
            headers_sealed=moved(HEADERS, whole.headers_sealed),
        )
    except Locked as error:
        raise Conflict(f"the secrets of event {sealed.id} cannot be opened: {error}; give them anew first") from error


def is_outdated(vault: Vault, sealed: Sealed) -> bool:
    """Whether some of it is plain, or under another key than the newest."""
    columns = (sealed.hmac_sealed, sealed.hmac_previous, sealed.headers_sealed)
    return sealed.hmac_plain is not None or any(column and vault.is_stale(column) for column in columns)


def renewed(vault: Vault, sealed: Sealed) -> Sealed:
    """All of it under the newest key, and nothing plain. Raises Locked."""

    def moved(column: str, secret: bytes | None) -> bytes | None:
        if secret is None or not vault.is_stale(secret):
            return secret
        return vault.rewrap(secret, place_of("events", column, sealed.id), os.urandom(RANDOM_BYTES))

    whole = _all_sealed(vault, sealed)
    return msgspec.structs.replace(
        whole,
        hmac_sealed=moved(HMAC, whole.hmac_sealed),
        hmac_previous=moved(HMAC, whole.hmac_previous),
        headers_sealed=moved(HEADERS, whole.headers_sealed),
    )


def signing(vault: Vault, row: Claimed, default: str, now: datetime) -> tuple[str, ...]:
    """What to sign with, the newest first. Raises Locked."""
    newest = row.hmac_plain
    if newest is None:
        newest = default if row.hmac_sealed is None else _open(vault, HMAC, row.event_id, row.hmac_sealed)
    if row.hmac_previous_until is None or row.hmac_previous_until <= now:
        return (newest,)
    before = default if row.hmac_previous is None else _open(vault, HMAC, row.event_id, row.hmac_previous)
    return (newest, before)


def header_values(vault: Vault, row: Claimed, action: str) -> tuple[dict[str, str], list[str]]:
    """Of the headers of that action that are secret, by their names in lower case; and of the other actions. Raises
    Locked."""
    known = {} if row.headers_sealed is None else _open_headers(vault, row.event_id, row.headers_sealed)
    own = known.pop(action, {})
    return own, [value for headers in known.values() for value in headers.values()]


def _resigned(vault: Vault, before: Sealed, given: Given, now: datetime) -> Sealed:
    """What signed before goes on for the overlap. The same secret once more is no change."""
    overlap = DEFAULT_OVERLAP if isinstance(given.overlap, msgspec.UnsetType | None) else given.overlap
    until = now + timedelta(seconds=overlap) if overlap else None
    now_sealed = _all_sealed(vault, before)
    if isinstance(given.hmac_secret, msgspec.UnsetType) or _is_same(vault, now_sealed, given.hmac_secret):
        overlaps = before.hmac_previous_until is not None and before.hmac_previous_until > now
        if isinstance(given.overlap, msgspec.UnsetType) or not overlaps:
            return now_sealed
        sealed, previous = now_sealed.hmac_sealed, now_sealed.hmac_previous
    else:
        sealed = None if given.hmac_secret is None else _seal(vault, HMAC, before.id, given.hmac_secret)
        previous = now_sealed.hmac_sealed
    return msgspec.structs.replace(
        now_sealed, hmac_sealed=sealed, hmac_previous=previous if until else None, hmac_previous_until=until
    )


def _all_sealed(vault: Vault, before: Sealed) -> Sealed:
    if before.hmac_plain is None:
        return before
    sealed = _seal(vault, HMAC, before.id, before.hmac_plain)
    return msgspec.structs.replace(before, hmac_plain=None, hmac_sealed=sealed)


def _is_same(vault: Vault, before: Sealed, secret: str | None) -> bool:
    if before.hmac_sealed is None:
        return secret is None
    try:
        return secret == _open(vault, HMAC, before.id, before.hmac_sealed)
    except Locked:
        return False  # giving it anew is the remedy


def _kept(
    vault: Vault, before: Sealed, kept: Mapping[str, list[str]], was: Actions, become: Actions
) -> dict[str, dict[str, str]]:
    """The values that stay. They go where they went: who may edit an event may not read them elsewhere."""
    known = _known(vault, before, *next((action, names[0]) for action, names in kept.items() if names))
    for action, names in kept.items():
        for name in names:
            _required(known.get(action, {}).get(name.lower()), action, name)
            if actions.reach_of(was[action], name) != actions.reach_of(become[action], name):
                message = f"the address is another, so {words_for(name)} does not go along; give it anew"
                raise Invalid(message, field=_field(action, name))
    return known


def _known(vault: Vault, before: Sealed, action: str, name: str) -> dict[str, dict[str, str]]:
    try:
        return {} if before.headers_sealed is None else _open_headers(vault, before.id, before.headers_sealed)
    except Locked as error:
        message = f"{words_for(name)} of event {before.id} cannot be opened: {error}; give it anew"
        raise Conflict(message, field=_field(action, name)) from error


def _required(value: str | None, action: str, name: str) -> str:
    if value is None:
        raise Invalid(f"{words_for(name)} was never given; give it", field=_field(action, name))
    return value


def _seal(vault: Vault, column: str, event_id: UUID, secret: str, field: str = "hmac_secret") -> bytes:
    try:
        return vault.seal(secret, place_of("events", column, event_id), os.urandom(RANDOM_BYTES))
    except Locked as error:
        raise Invalid(f"{field}: {error}", field=field) from error


def _open(vault: Vault, column: str, event_id: UUID, sealed: bytes) -> str:
    return vault.open(sealed, place_of("events", column, event_id))


def _seal_headers(vault: Vault, event_id: UUID, values: Mapping[str, Mapping[str, str]]) -> bytes | None:
    lowered = {
        action: {name.lower(): value for name, value in headers.items()}
        for action, headers in values.items()
        if headers
    }
    if not lowered:
        return None
    action, names = next(iter(lowered.items()))
    field = f"{action}.params.headers" if set(names) != {CLIENT_SECRET} else _field(action, CLIENT_SECRET)
    return _seal(vault, HEADERS, event_id, msgspec.json.encode(lowered).decode(), field)


def _open_headers(vault: Vault, event_id: UUID, sealed: bytes) -> dict[str, dict[str, str]]:
    return _headers.decode(_open(vault, HEADERS, event_id, sealed))


def _field(action: str, name: str) -> str:
    return f"{action}.params.{field_of(name)}"
