"""iCalendar text: content lines, the components they make, and both printed. All that Qhronos wants of `icalendar`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import NamedTuple

from qhronos.errors import Invalid

FIELD = "schedule"
MOST_COMPONENTS = 10_000
NAME = re.compile(r"[ \t]*([A-Za-z0-9-]+)[ \t]*[:;]")
# Outlook has been seen to leave out the quotes that the colon wants.
UNQUOTED = re.compile(r"TZID=(\([^\")]*\)[^\":;]*)", re.IGNORECASE)
UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # tabs and line breaks are text


class Line(NamedTuple):
    """`value` as it stands, `parameters` without their quotes and by their names in capitals."""

    name: str
    parameters: dict[str, str]
    value: str


class Component(NamedTuple):
    """`lines` are not taken apart before somebody asks for them, as few of them are."""

    name: str
    lines: list[tuple[str, str]]
    inside: list[Component]

    def all(self, name: str) -> Iterator[Line]:
        return (_line(name, text) for known, text in self.lines if known == name)

    def first(self, name: str) -> Line | None:
        return next(self.all(name), None)

    def value(self, name: str) -> str:
        """Of the first such line, without blanks around it; empty if there is none."""
        return next(iter(self.values(name)), "")

    def values(self, name: str) -> list[str]:
        """Of all such lines; what cannot be read is not there, as nothing hangs on these."""
        found = []
        for known, text in self.lines:
            if known == name:
                with suppress(Invalid):
                    found.append(_line(name, text).value.strip())
        return found

    def text(self, name: str) -> str:
        """For people to read."""
        return plain(self.value(name))

    def each(self, name: str) -> list[Component]:
        return [component for component in self.inside if component.name == name]


@cache
def _icalendar() -> ModuleType:
    """80 ms and 9 MB, so only for those who read or write a calendar."""
    import icalendar.parser  # noqa: PLC0415 - the reason is above

    return icalendar.parser


@cache
def _windows() -> dict[str, str]:
    from icalendar.timezone import windows_to_olson  # noqa: PLC0415 - as above

    return {name.casefold(): zone for name, zone in windows_to_olson.WINDOWS_TO_OLSON.items()}


def windows_zone(name: str) -> str | None:
    """The IANA name that CLDR gives to a zone of Windows."""
    return _windows().get(name.casefold())


def windows_zones() -> list[str]:
    """The IANA names that some zone of Windows has."""
    return sorted(set(_windows().values()))


def read(text: str) -> Component:
    """A component without a name that holds what the text holds."""
    root = Component("", [], [])
    open_components, count = [root], 0
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for line in _icalendar().Contentlines.from_ical(text):
        found = NAME.match(line)
        name = found[1].upper() if found else ""
        match name:
            case "BEGIN":
                count += 1
                if count > MOST_COMPONENTS:
                    raise Invalid(f"schedule: more than {MOST_COMPONENTS} components", field=FIELD)
                component = Component(_kind(line), [], [])
                open_components[-1].inside.append(component)
                open_components.append(component)
            case "END":
                if _kind(line) != open_components.pop().name or not open_components:
                    raise Invalid(f"schedule: {line.strip()[:64]} ends what has not begun", field=FIELD)
            case _:
                open_components[-1].lines.append((name, line))
    if len(open_components) > 1:
        raise Invalid(f"schedule: BEGIN:{open_components[-1].name[:64]} has no END; the text is cut short", field=FIELD)
    return root


def _kind(line: str) -> str:
    return line.partition(":")[2].strip().upper()


def _line(name: str, text: str) -> Line:
    try:
        _, parameters, value = _icalendar().Contentline(UNQUOTED.sub(r'TZID="\1"', text)).raw_parts()
    except ValueError as error:
        raise Invalid(f"{name}: {text.strip()[:64]!r} is no line of iCalendar", field=FIELD) from error
    words = {key.upper(): word if isinstance(word, str) else ",".join(word) for key, word in parameters.items()}
    return Line(name, {key: word.strip(' "') for key, word in words.items()}, value)


def plain(value: str) -> str:
    """TEXT as it is meant, without what no text should hold."""
    return UNSAFE.sub("", re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], value)).strip()


def texts(value: str) -> list[str]:
    """A list of TEXT."""
    return [text for word in re.split(r"(?<!\\),", value) if (text := plain(word))]


def escaped(text: str) -> str:
    """`text` as TEXT."""
    lines = UNSAFE.sub("", text.replace("\r\n", "\n")).replace("\\", "\\\\").replace("\n", "\\n")
    return lines.replace(";", "\\;").replace(",", "\\,")


def quoted(text: str) -> str:
    """`text` as the value of a parameter."""
    return f'"{text}"' if re.search("[:;,]", text) else text


def written(lines: Iterable[str]) -> bytes:
    """Folded after 75 octets, each line ended as RFC 5545 §3.1 wants it."""
    parser = _icalendar()
    return bytes(parser.Contentlines(map(parser.Contentline, lines)).to_ical())
