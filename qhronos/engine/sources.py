"""Where the days of a business calendar come from: said one by one, a country's holidays, a calendar file, or its address."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime, timedelta

import msgspec
from msgspec import Struct

from qhronos.actions.endpoint import AGENT
from qhronos.core.recurrence import closures
from qhronos.core.recurrence.imported import MOST_BYTES
from qhronos.errors import Invalid
from qhronos.http import Client, Request, Response
from qhronos.http import url as urls
from qhronos.store.calendars import Calendar, Content

BACK, AHEAD = 1, 10  # years for which the days of a rule are made
COUNTRY_REST = timedelta(days=7)  # a new release of the holidays is not made known
FILE_REST = timedelta(days=1)  # where the file does not say how often it wants to be read
TIMEOUT = 20.0


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing said: the dates were given one by one. `ics`: once, as a file."""

    country: str | None = None
    subdivision: str | None = None
    ics: bool = False
    url: str | None = None

    @property
    def shown_url(self) -> str | None:
        """Without what may be a secret: whoever knows the address of a private calendar can read it."""
        if self.url is None:
            return None
        parsed = urls.parse(self.url)
        return f"{parsed.scheme}://{parsed.authority}/…"


def of_dates(dates: Iterable[date]) -> Content:
    """Known to the end of the last year that is named; if none is, for ever."""
    listed = tuple(sorted(set(dates)))
    return Content(listed, date(listed[-1].year, 12, 31) if listed else date.max)


def of_country(country: str, subdivision: str | None, now: datetime) -> Content:
    """The public holidays. Raises Invalid with near names for what is not known."""
    import holidays  # noqa: PLC0415 - big, and most installations never ask

    places = holidays.list_supported_countries()
    _refuse_unknown("country", country, places)
    if subdivision is not None:
        _refuse_unknown("subdivision", subdivision, places[country])
    last = now.year + AHEAD
    found = holidays.country_holidays(country, subdiv=subdivision, years=range(now.year - BACK, last + 1))
    return Content(tuple(sorted(found)), date(last, 12, 31), COUNTRY_REST)


def of_file(text: str | bytes, now: datetime) -> Content:
    """The days that a file closes. Raises Invalid."""
    found = closures(text, *_window(now))
    return Content(found.dates, found.known_until)


async def of_url(client: Client, url: str, now: datetime, before: Calendar | None = None) -> Content:
    """What is at the address now; what there was `before`, if it has not changed. Raises Invalid, and Unreachable."""
    request = Request(
        method="GET",
        url=url,
        headers=(AGENT, *_conditions(before)),
        timeout=TIMEOUT,
        most_body=MOST_BYTES,
    )
    response = await client.send(request)
    if response.status == 304 and before is not None:
        return Content(tuple(before.dates), before.known_until, before.fetch_every, before.etag, before.last_modified)
    _refuse_answer(response)
    found = await asyncio.to_thread(closures, response.body, *_window(now))
    return Content(
        found.dates,
        found.known_until,
        found.again or FILE_REST,
        response.header("etag"),
        response.header("last-modified"),
    )


async def read_again(client: Client, calendar: Calendar, now: datetime) -> Content:
    """What the source of a calendar says now. Raises Invalid, and Unreachable."""
    source = msgspec.json.decode(calendar.source, type=Source)
    if source.url is not None:
        # What its rules give is made some years ahead: there is more of it to come even if it has not changed.
        is_short = calendar.known_until.year >= now.year and calendar.known_until.year < now.year + AHEAD - 1
        return await of_url(client, source.url, now, None if is_short else calendar)
    assert source.country is not None  # noqa: S101 - nothing else is read again
    return await asyncio.to_thread(of_country, source.country, source.subdivision, now)


def _conditions(before: Calendar | None) -> Iterator[tuple[str, str]]:
    if before is not None and before.etag:
        yield "if-none-match", before.etag
    if before is not None and before.last_modified:
        yield "if-modified-since", before.last_modified


def _refuse_answer(response: Response) -> None:
    if 300 <= response.status < 400 and response.status != 304:
        raise Invalid(
            "url: answers with a redirect, which is not followed; give the address that it leads to", field="url"
        )
    if response.status != 200:
        raise Invalid(f"url: answers with HTTP {response.status}", field="url")
    if response.truncated:
        raise Invalid(f"url: the file is longer than {MOST_BYTES} bytes, or was cut short", field="url")


def _window(now: datetime) -> tuple[date, date]:
    return date(now.year - BACK, 1, 1), date(now.year + AHEAD + 1, 1, 1)


def _refuse_unknown(field: str, given: str, known: Collection[str]) -> None:
    if given not in known:
        raise Invalid(f"{field}: there is no {given}{near(given, known)}", field=field)


def near(given: str, known: Collection[str]) -> str:
    """The names that may have been meant."""
    spelt = {name.casefold(): name for name in known}
    found = [spelt[name] for name in difflib.get_close_matches(given.casefold(), spelt, n=3, cutoff=0.5)]
    return f"; did you mean {' or '.join(found)}?" if found else ""
