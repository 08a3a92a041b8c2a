"""What zone a TZID means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import NamedTuple

from qhronos.core.recurrence.contentlines import Component, windows_zone, windows_zones
from qhronos.core.recurrence.vtimezones import OwnZone, rules_of
from qhronos.core.recurrence.zones import DAY, instant, seconds, timezones, zone
from qhronos.errors import Invalid

FIELD = "timezone"
MOST_TZID = 100
YEARS = 11  # ten, and the rest of the first
# Where several zones fit, the one that people know.
WELL_KNOWN = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Europe/Moscow",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
)
# How Outlook displays a zone: `(UTC+01:00) Amsterdam, Berlin, Bern, Rome`, `(GMT-05:00) Eastern Time (US & Canada)`.
DISPLAYED = re.compile(r"\((?:UTC|GMT)(?:([+-]\d\d):?(\d\d))?\) *(.+)", re.IGNORECASE | re.ASCII)


class Meant(NamedTuple):
    """`rules` where it is no IANA zone, and `name` then only a label."""

    name: str
    rules: str = ""
    warning: str = ""


def resolve(tzid: str, vtimezones: Mapping[str, Component], since: datetime, now: datetime) -> Meant:
    """Of an event that starts at `since`. Raises Invalid if nobody knows.

    A name that is known is taken at its word; a VTIMEZONE is only asked about a name that is not.
    """
    name = tzid.strip()
    known = iana(name)
    if known:
        return Meant(known)
    ending = _ending(name)
    if ending:
        return Meant(ending, warning=f"TZID={name[:64]}: taken for {ending}")
    sent = vtimezones.get(name)
    if sent is None:
        raise Invalid(
            f"timezone: TZID={name[:64]!r} is no zone that is known, and the text has no VTIMEZONE of it; "
            "name an IANA zone such as Europe/Berlin",
            field=FIELD,
        )
    rules = rules_of(sent)
    # From the beginning of a year, that one answer serves all events of the year.
    first = seconds(datetime(since.year, 1, 1, tzinfo=UTC))
    until = max(seconds(datetime(min(since.year + YEARS, 9999), 1, 1, tzinfo=UTC)), seconds(now))
    alike = _alike(rules, first // DAY, max(until // DAY, first // DAY + 1), sent.value("X-LIC-LOCATION"))
    return Meant(alike) if alike else Meant(name[:MOST_TZID].replace('"', ""), rules)


def iana(name: str) -> str | None:
    """The IANA zone that has this name, in whatever capitals, in Windows or in what Outlook displays."""
    return _folded().get(name.casefold()) or windows_zone(name) or _displayed(name)


@cache
def _folded() -> dict[str, str]:
    return {name.casefold(): name for name in timezones()} | {"z": "UTC"}


@cache
def _cities() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in timezones():
        found.setdefault(name.casefold().rpartition("/")[2].replace("_", " "), []).append(name)
    return found


def _displayed(name: str) -> str | None:
    found = DISPLAYED.fullmatch(name)
    if not found:
        return None
    hours, minutes, words = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(f"{(hours or '+')[0]}{minutes or 0}"))
    if words.casefold() == "coordinated universal time":
        return "UTC"
    named = re.sub(r" Time(?: \([^)]*\))?$", " Standard Time", words, flags=re.IGNORECASE)
    candidates = [windows_zone(named)]
    for city in re.split(r" *[,:] *", words.casefold()):
        candidates += _cities().get(city.strip(), [])
    return next((zone for zone in candidates if zone and _has(zone, offset)), None)


def _has(name: str, offset: timedelta) -> bool:
    """In winter or in summer: zones have changed since their names were given."""
    return any(offset == datetime(2026, month, 1, tzinfo=zone(name)).utcoffset() for month in (1, 7))


def _ending(name: str) -> str | None:
    """The IANA name at the end of a path, such as `/example.org/20260101/Europe/Berlin`."""
    words = name.split("/")
    endings = ("/".join(words[-count:]) for count in (3, 2) if len(words) > count)
    return next((_folded()[ending.casefold()] for ending in endings if ending.casefold() in _folded()), None)


@lru_cache(maxsize=256)
def _alike(rules: str, first: int, end: int, hint: str) -> str | None:
    """The IANA zone whose clock shows the same from one day to the other."""
    own = OwnZone("", rules)
    since, until = first * DAY, end * DAY
    changes = own.changes(since, until)
    # No clock changes twice within a day and back, so with every day and every change of ours nothing is missed. A few
    # days of each year come first: they tell most of the others at a glance.
    edges = (near for at, _, _ in changes for near in (at - 1, at))
    asked = tuple(dict.fromkeys((*range(since, until, 30 * DAY), *range(since, until, DAY), *edges)))
    ours = cache(lambda at: instant(at).astimezone(own).utcoffset())
    for name in _candidates(hint):
        known = zone(name)
        if all(instant(at).astimezone(known).utcoffset() == ours(at) for at in asked):
            return name
    return None


def _candidates(hint: str) -> Iterator[str]:
    hinted = iana(hint)
    yield from dict.fromkeys([*([hinted] if hinted else []), *WELL_KNOWN, *windows_zones(), *timezones()])
