"""Zones: their names, their clock changes, and their clock face in whole seconds.

All come from the tzdata package, never from the system, so that every node agrees and the version can be told.
"""

from __future__ import annotations

import difflib
import importlib.resources
import itertools
import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources.abc import Traversable
from zoneinfo import ZoneInfo

import tzdata

from qhronos.core.recurrence.days import EPOCH_ORDINAL, LAST_DAY, date_of, first_of, kind_of
from qhronos.core.recurrence.model import ClockChange, Dst, Fold, Gap, Mark
from qhronos.errors import Invalid

DAY = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WALL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time
SECOND = timedelta(seconds=1)
# Instants are kept a few days inside the years 1900 to 9999, so that no offset leads out of the calendar.
FIRST = -2_209_593_600  # 1899-12-25T00:00:00Z
LAST = 253_401_696_000  # 9999-12-25T00:00:00Z
LONGEST_SEARCH = 20_000  # days
MOST_REMEMBERED = 10_000  # days of a zone
STRIDE = 3  # days
from_ordinal = date.fromordinal
HEADER = 44  # bytes
NEVER = 1 << 60
STRETCH = 2 * STRIDE


def tzdata_version() -> str:
    """Such as `2026b`."""
    return str(tzdata.IANA_VERSION)


@cache
def timezones() -> tuple[str, ...]:
    """Every IANA name, aliases too, in order."""
    return tuple(sorted(_files().joinpath("zones").read_text().split()))


def zone(name: str) -> ZoneInfo:
    """Invalid(field="timezone"), with the nearest names, if there is none."""
    if name not in _known():
        raise Invalid(f"timezone: {name[:64]!r} is no IANA zone{_suggestion(name[:64])}", field="timezone")
    return _load(name)


@cache
def _known() -> frozenset[str]:
    return frozenset(timezones())


@cache
def _load(name: str) -> ZoneInfo:
    with _files().joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _files() -> Traversable:
    return importlib.resources.files("tzdata")


def near_names(name: str, likeness: float = 0.6) -> tuple[str, ...]:
    """Of zones that may be meant. The city alone and wrong capitals are the usual slips."""
    spellings = {spelling: known for known in timezones() for spelling in (known.lower(), known.lower().split("/")[-1])}
    near = difflib.get_close_matches(name.lower(), spellings, n=3, cutoff=likeness)
    return tuple(dict.fromkeys(spellings[spelling] for spelling in near))


def _suggestion(name: str) -> str:
    names = near_names(name)
    return f"; did you mean {' or '.join(names)}?" if names else ""


def seconds(instant: datetime) -> int:
    """Whole seconds since 1970, rounded up, from FIRST to LAST."""
    since = instant - EPOCH
    whole = since.days * DAY + since.seconds + (since.microseconds > 0)
    return whole if FIRST <= whole <= LAST else FIRST if whole < FIRST else LAST


def instant(utc: int) -> datetime:
    return EPOCH + timedelta(0, utc)


def wall_seconds(wall: datetime) -> int:
    """Whole seconds since 1970 on the wall, rounded down, never past LAST."""
    return min((wall - WALL_EPOCH) // SECOND, LAST)


def wall_time(wall: int) -> datetime:
    return WALL_EPOCH + timedelta(0, wall)


@cache
def face_of(name: str) -> Face:
    """One for all, as it remembers what it has been asked."""
    return Face(zone(name), _last_change(name))


def _last_change(name: str) -> int:
    """The last clock change that the file of a zone names (RFC 8536 §3). After it a rule for all years holds."""
    with _files().joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        data = file.read()
    utc, std, leaps, times, types, chars = struct.unpack_from(">6l", data, 20)
    second = HEADER + times * 5 + types * 6 + chars + leaps * 8 + std + utc  # with 64 bits for each time
    count = struct.unpack_from(">l", data, second + 32)[0]
    return struct.unpack_from(">q", data, second + HEADER + 8 * (count - 1))[0] if count else FIRST


class Face:
    """The clock face of a zone: instants and wall times, both in seconds since 1970 on their own line."""

    def __init__(self, zone: tzinfo, last_change: int = NEVER) -> None:
        """After `last_change` the clock changes by a rule that asks nothing of a year but its calendar."""
        self.zone = zone
        self._steady: dict[int, int | None] = {}  # by UTC day, STRIDE of them at once
        self._midnights: dict[int, int] = {}  # offsets
        self._regular = date_of(last_change // DAY).year + 2 if last_change < LAST else NEVER
        self._regular_from = first_of(self._regular) if last_change < LAST else NEVER
        self._back: dict[int, int] = {}  # by year: the days to one with the same calendar, of which it is remembered

    def offset(self, utc: int) -> int:
        """Wall minus UTC at the instant."""
        steady = self.steady(utc // DAY)
        return self._exact(utc) if steady is None else steady

    def steady(self, day: int) -> int | None:
        """The offset if it stays the same from the eve of the UTC day to its morrow, so for all wall times of that date.

        It is asked at two midnights STRETCH days apart. A zone that changed its clock between them and came back would
        deceive this; there is none.
        """
        if day >= self._regular_from:
            year = from_ordinal(day + EPOCH_ORDINAL if day < LAST_DAY else LAST_DAY + EPOCH_ORDINAL).year
            back = self._back.get(year)
            day -= self._years_like(year) if back is None else back
        stride = day // STRIDE
        try:
            return self._steady[stride]
        except KeyError:
            pass
        if len(self._steady) >= MOST_REMEMBERED:
            self._steady.clear()
            self._midnights.clear()
        eve = stride * STRIDE - 1
        offset = self._midnight(eve)
        self._steady[stride] = steady = offset if offset == self._midnight(eve + STRETCH) else None
        return steady

    def _years_like(self, year: int) -> int:
        """The days back to the first year of the rule that has the same calendar, and neighbours with the same."""
        first = next(like for like in itertools.count(self._regular) if kind_of(like) == kind_of(year))
        self._back[year] = back = first_of(year) - first_of(first)
        return back

    def resolve(self, wall: int, dst: Dst) -> tuple[tuple[int, Mark], ...]:
        """The instants of a wall time: one, none for a gap that is skipped, two for a fold that counts twice."""
        steady = self.steady(wall // DAY)
        if steady is not None:
            return ((wall - steady, Mark.NORMAL),)
        first, second = self.passes(wall)
        if first < second:
            both = (first, Mark.FOLD_FIRST), (second, Mark.FOLD_SECOND)
            return {Fold.FIRST: both[:1], Fold.SECOND: both[1:], Fold.BOTH: both}[dst.fold]
        if first > second:
            return ((first, Mark.GAP_SHIFTED),) if dst.gap is Gap.SHIFT else ()
        return ((first, Mark.NORMAL),)

    def passes(self, wall: int) -> tuple[int, int]:
        """The instants with fold 0 and 1: equal but for a fold (first before second) and a gap (first after second)."""
        steady = self.steady(wall // DAY)
        if steady is not None:
            return wall - steady, wall - steady
        aware = wall_time(wall).replace(tzinfo=self.zone)
        return wall - _whole(aware), wall - _whole(aware.replace(fold=1))

    def earliest_from(self, wall: int) -> int:
        """No wall time from this one on has an earlier instant. Outside of gaps and folds it is its own."""
        steady = self.steady(wall // DAY)
        return min(self.passes(wall)) if steady is None else wall - steady

    def walls_of(self, since: int, until: int) -> tuple[int, int]:
        """No wall time outside of these two is meant by an instant of the window."""
        first, last = self.steady(since // DAY), self.steady(until // DAY)
        return (
            since + (min(self._around(since // DAY)) if first is None else first),
            until + (max(self._around(until // DAY)) if last is None else last),
        )

    def mark(self, utc: int) -> Mark:
        """Whether the wall time shown at the instant comes twice."""
        if self.steady(utc // DAY) is not None:
            return Mark.NORMAL
        first, second = self.passes(utc + self._exact(utc))
        if first >= second:
            return Mark.NORMAL
        return Mark.FOLD_FIRST if utc == first else Mark.FOLD_SECOND

    def _around(self, day: int) -> list[int]:
        return [self._midnight(near) for near in range(day - 1, day + 3)]

    def _midnight(self, day: int) -> int:
        offset = self._midnights.get(day)  # never looked up twice: another thread may forget it in between
        if offset is None:
            self._midnights[day] = offset = self._exact(day * DAY)
        return offset

    def _exact(self, utc: int) -> int:
        return _whole(instant(utc).astimezone(self.zone))


def _whole(aware: datetime) -> int:
    return (aware.utcoffset() or timedelta(0)) // SECOND


def changes_of(face: Face, since: datetime, until: datetime, limit: int) -> tuple[ClockChange, ...]:
    """When the clock changes within [since, until), at most `limit` changes and over some fifty years."""
    changes = _changes(face, seconds(since), seconds(until))
    return tuple(itertools.islice(changes, limit))


def _changes(face: Face, since: int, until: int) -> Iterator[ClockChange]:
    for day in range(since // DAY, min(-(-until // DAY), since // DAY + LONGEST_SEARCH)):
        if face.steady(day) is None:
            change = _change(face, max(since - 1, day * DAY - 1), min(until - 1, day * DAY + DAY - 1))
            if change:
                yield change


def _change(face: Face, low: int, high: int) -> ClockChange | None:
    """The change after `low` and not after `high`."""
    before, after = face.offset(low), face.offset(high)
    if before == after:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if face.offset(middle) == before else (low, middle)
    return ClockChange(instant(high), before * SECOND, after * SECOND)
