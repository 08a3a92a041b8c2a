"""What was heard, as lines: for people, or an object of JSON each."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from qhronos.cli.forward import Answer
from qhronos.clock import Clock
from qhronos.core.attempt import Refused
from qhronos.core.occurrence import OPEN

LONGEST = 200  # characters of metadata on a line for people
FORWARDED = frozenset({"headers", "body"})  # the same once more, and signed


class Printer:
    def __init__(self, form: str, clock: Clock) -> None:
        self._form = form
        self._clock = clock

    def event(self, frame: dict[str, Any], answer: Answer | None = None) -> None:
        if self._form == "json":
            told = {key: value for key, value in frame.items() if key not in FORWARDED}
            _echo(told | ({"forwarded": _told(answer)} if answer else {}))
        else:
            click.echo("  ".join([*self._event_words(frame), *(_words(answer) if answer else [])]))

    def gap(self, frame: dict[str, Any]) -> None:
        if self._form == "json":
            _echo(frame)
        else:
            missed = "something" if frame["missed"] is None else frame["missed"]
            click.echo(f"{self._clock_words()}  missed {missed}: {_plain(frame['reason'])}")

    def late(self, frame: dict[str, Any]) -> None:
        """The answer to a yes that did not count."""
        if self._form == "json":
            _echo(frame)
        else:
            click.echo(f"{self._clock_words()}  {frame['occurrence_id']}  too late{_fate(frame.get('status'))}")

    def _event_words(self, frame: dict[str, Any]) -> list[str]:
        late = (self._clock.now() - datetime.fromisoformat(frame["scheduled_at"])).total_seconds() * 1000
        parts = [self._clock_words(), f"{late:+.1f} ms", _plain(frame["name"]), frame["occurrence_id"]]
        if frame.get("kind", "due") != "due":
            parts.append(frame["kind"])
        if "attempt" in frame:
            parts.append(f"attempt {frame['attempt']}")
        if frame.get("redelivered"):
            parts.append("sent before")
        if frame.get("reason"):
            parts.append(_plain(frame["reason"]))
        if metadata := frame.get("metadata"):
            parts.append(_cut(json.dumps(metadata, ensure_ascii=False)))
        return parts

    def _clock_words(self) -> str:
        now = self._clock.now()
        return f"{now:%H:%M:%S}.{now.microsecond // 1000:03}Z"


def _words(answer: Answer) -> list[str]:
    if answer.reason is None:
        return [f"-> {answer.status} in {answer.took_ms:.1f} ms"]
    ending = ", for good" if isinstance(answer.outcome, Refused) else ""
    return [f"-> not taken{ending}: {_plain(answer.reason)}"]


def _told(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "reason": answer.reason, "took_ms": round(answer.took_ms, 1)}


def _fate(status: str | None) -> str:
    if status is None:
        return ""
    return ": it comes again" if status in OPEN else f": it is {status}"


def _echo(told: dict[str, Any]) -> None:
    click.echo(json.dumps(told, ensure_ascii=False))


def _cut(text: str) -> str:
    plain = _plain(text)
    return plain if len(plain) <= LONGEST else plain[:LONGEST] + "…"


def _plain(text: str) -> str:
    """On one line, and nothing in it that a terminal obeys."""
    return "".join(each if each.isprintable() else " " for each in text)
