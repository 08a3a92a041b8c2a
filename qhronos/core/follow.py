"""What new zone rules do to what is open: which instants move, and what has happened already and must not happen again.

The old rules are gone when the new ones are here. What they gave is known from the rows that they made: each has its
instant and the local time that the rule asked for. A local time stays and its instant moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from qhronos.core.recurrence import (
    STEPS,
    Instant,
    Recurrence,
    at_wall,
    expand,
    is_elapsed,
    local,
    runs_in_real_time,
    start,
)
from qhronos.core.window import MICROSECOND

FAR = timedelta(hours=26)  # no two clocks of the world are further apart
PAGE = 10_000  # instants of one pass


class Row(NamedTuple):
    """An instant that the old rules gave."""

    at: datetime
    wall: datetime | None
    free: bool  # open, and nobody has begun: it may be moved


class Moved(NamedTuple):
    before: datetime
    after: Instant


class Moves(NamedTuple):
    """What is to be done, in the order of time. All empty: the new rules give what the old ones gave."""

    moved: tuple[Moved, ...] = ()
    added: tuple[Instant, ...] = ()
    removed: tuple[Row, ...] = ()
    kept_back: tuple[Moved, ...] = ()  # of local times that have happened, by the old rules

    def __bool__(self) -> bool:
        return any(self)


def anchored(recurrence: Recurrence, began: datetime, now: datetime) -> Recurrence:
    """Real time that runs since DTSTART goes on as it began, whatever the clocks are now said to have shown then."""
    if began > now or began == start(recurrence) or not is_elapsed(recurrence):
        return recurrence
    wall = local(recurrence, began)
    return msgspec.structs.replace(recurrence, dtstart=wall.replace(tzinfo=None, fold=0), second_pass=bool(wall.fold))


def follow(recurrence: Recurrence, rows: Iterable[Row], cursor: datetime, now: datetime) -> Moves:
    """`rows` are those from `now - FAR` on; nothing after `cursor` was made by the rule, though by hand.

    A row belongs to its local time, not to whatever has its instant now. Two rows cannot have one instant: where a
    neighbour has begun already, a row stays, late and not lost.
    """
    known = sorted(rows)
    given = {one.at: one for one in _all(recurrence, now - FAR, max(cursor, now))}
    means = {row: _meant(recurrence, row, given) for row in known}
    staying = {row.at for row in known if any(one.at == row.at for one in means[row])}
    taken = staying | {row.at for row in known if not row.free}
    moved, removed, kept_back = [], [], []
    for row in known:
        if row.at in staying:
            continue
        after = next((one for one in means[row] if one.at not in taken), None)
        if after is not None:
            taken.add(after.at)
        if row.free and after is not None:
            moved.append(Moved(row.at, after))
        elif row.free and not means[row]:
            removed.append(row)
        elif row.free:
            taken.add(row.at)
        elif after is not None and after.at > now:
            kept_back.append(Moved(row.at, after))
    missing = [one for one in given.values() if one.at not in taken]
    added = [one for one in missing if one.at > now or _passed_by(one, known, cursor)]
    return Moves(tuple(moved), tuple(added), tuple(removed), tuple(kept_back))


def _meant(recurrence: Recurrence, row: Row, given: Mapping[datetime, Instant]) -> tuple[Instant, ...]:
    """The instants that may be those of a row: where it is, if the rule has that too, or where its local time is."""
    there = given.get(row.at)
    if there is None and (row.wall is None or runs_in_real_time(recurrence)):
        there = next(iter(expand(recurrence, row.at, row.at + MICROSECOND, 1).instants), None)
    if there is not None and (there.wall == row.wall or row.wall is None or runs_in_real_time(recurrence)):
        return (there,)
    return at_wall(recurrence, row.wall) if row.wall is not None else ()


def _passed_by(one: Instant, known: Sequence[Row], cursor: datetime) -> bool:
    """Whether an instant that is over by now was still to be made by the old rules, going by the last offset of theirs."""
    last = next((row for row in reversed(known) if row.at < cursor and row.wall is not None), None)
    return (
        last is not None
        and last.wall is not None
        and one.wall - (last.wall - last.at.replace(tzinfo=None)) >= cursor.replace(tzinfo=None)
    )


def _all(recurrence: Recurrence, since: datetime, until: datetime) -> Iterator[Instant]:
    """Every instant of a short window, in as many passes as that takes."""
    while True:
        found = expand(recurrence, since, until, PAGE, STEPS)
        yield from found.instants
        if found.complete or found.covered <= since:
            return
        since = found.covered
