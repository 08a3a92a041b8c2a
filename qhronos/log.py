"""Logs: one line per event, text on a terminal and JSON elsewhere, the same for our own events and for what libraries log.

The message is an event name, `noun.past_verb`, and everything else is a key. The names are listed in
docs/reference/logs.md.
"""

from __future__ import annotations

import functools
import logging
import logging.handlers
import os
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec
import structlog
from structlog.stdlib import ProcessorFormatter

from qhronos.errors import ConfigError

# A last wall: nothing should get here with a secret, and what does is not written.
SECRET_KEY = re.compile(r"secret|token(?!_id)|authorization|password|private_key", re.IGNORECASE)
MASK = "********"
DAY = 86_400
# Their requests and deliveries are ours to log, once each.
QUIET = ("uvicorn.access", "uvicorn.error", "litestar")


def get_logger() -> structlog.stdlib.BoundLogger:
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger())


def configure(
    *,
    level: str = "info",
    format: str = "auto",  # noqa: A002 - named as its key in the configuration
    file_path: str | None = None,
    max_size: int = 100,
    max_backups: int = 5,
    max_age: int = 30,
) -> None:
    """Log to standard error, and to a file if one is named; the arguments are the section `logging` of the configuration.

    Raises ConfigError if the file cannot be written.
    """
    handlers: list[logging.Handler] = [_stream(sys.stderr, format)]
    if file_path:
        handlers.append(_file(Path(file_path), max_size, max_backups, max_age))
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=handlers, level=number, force=True)
    logging.captureWarnings(capture=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[*SHARED, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def scrub(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what stands under a key that sounds like a secret, however deep."""
    return cast(MutableMapping[str, Any], _scrubbed(event))


def _scrubbed(value: Any) -> Any:
    match value:
        case dict():
            return {key: MASK if _is_secret(key) and item else _scrubbed(item) for key, item in value.items()}
        case list() | tuple():
            return [_scrubbed(item) for item in value]
        case _:
            return value


@functools.lru_cache(maxsize=1_000)  # the keys of our own events, over and over
def _is_secret(key: object) -> bool:
    return isinstance(key, str) and SECRET_KEY.search(key) is not None


SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    scrub,
]


def _stream(stream: TextIO, form: str) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    as_text = form == "text" or (form == "auto" and stream.isatty())
    handler.setFormatter(_text(colors=stream.isatty() and "NO_COLOR" not in os.environ) if as_text else _json())
    return handler


def _file(path: Path, megabytes: int, backups: int, days: int) -> logging.Handler:
    try:
        handler = _AgeingFile(path, maxBytes=megabytes * 1_000_000, backupCount=backups, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"logging.file_path: cannot write {path}: {error.strerror}") from error
    handler.days = days
    handler.setFormatter(_json())
    return handler


class _AgeingFile(logging.handlers.RotatingFileHandler):
    """Rotates by size, and then also drops the backups that are older than `days`; 0 keeps them for ever."""

    days = 0

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        super().doRollover()
        current = Path(self.baseFilename)
        backups = [(path, path.stat().st_mtime) for path in current.parent.glob(f"{current.name}.*")]
        # The newest was written to a moment ago, so it says what time it is.
        newest = max((written for _, written in backups), default=0.0)
        for path, written in backups:
            if self.days and written < newest - self.days * DAY:
                path.unlink(missing_ok=True)


def _text(*, colors: bool) -> logging.Formatter:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=24, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )
    return ProcessorFormatter(
        foreign_pre_chain=SHARED, processors=[ProcessorFormatter.remove_processors_meta, _shortened, renderer]
    )


def _json() -> logging.Formatter:
    return ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *SHARED],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _headed,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
    )


def _shortened(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """People ask for the settings by `qhronos config show`; a screen full of them hides everything else."""
    event.pop("config", None)
    return event


def _headed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Time, level and name first: lines are also read by people."""
    head = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**head, **event}


def _encode(event: object, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
