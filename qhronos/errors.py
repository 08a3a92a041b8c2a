"""Everything Qhronos raises on purpose.

QhronosError
├── Refusal                 the caller asked for something that cannot be; the message says what and how to mend it
│   ├── Malformed           the request cannot be read: not JSON, a bad id, a bad query parameter
│   ├── Invalid             the content is refused, with the field
│   ├── Unauthenticated     no token, or one that does not hold
│   ├── Denied              a good token that may not do this
│   ├── NotFound            no such thing, or none that this token may see
│   ├── Conflict            the thing is not in a status that allows it
│   ├── Gone                it was here; its history has been dropped
│   ├── Outdated            If-Match names an older version
│   ├── TooLarge            more bytes or items than are taken at once
│   └── Throttled           too many requests; says when to come back
├── Unavailable             a store is away; the run loop waits, the API answers 503
│   └── Contended           it is there, but this statement lost to others; trying again makes sense
├── ConfigError             the process must not start like this
├── Locked                  a stored secret cannot be opened, or one that is given cannot be sealed
└── Unreachable             an endpoint could not be talked to (http/); actions turn it into an outcome

All else is a bug: it travels to the top and is logged there once, with its traceback.
"""

from __future__ import annotations


class QhronosError(Exception):
    """The root. `str(error)` is one sentence that is safe to show to the caller."""


class Refusal(QhronosError):
    """`field` is the path of the offending field, such as `action.params.url`."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Malformed(Refusal): ...


class Invalid(Refusal): ...


class Unauthenticated(Refusal): ...


class Denied(Refusal): ...


class NotFound(Refusal): ...


class Conflict(Refusal): ...


class Gone(Refusal): ...


class Outdated(Refusal): ...


class TooLarge(Refusal): ...


class Throttled(Refusal):
    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(QhronosError):
    """`what` is the store that is away: `postgres` or `redis`."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} is unavailable: {why}")
        self.what = what


class Contended(Unavailable): ...


class ConfigError(QhronosError): ...


class Locked(QhronosError):
    """Says why, and tells neither secret nor key."""


class Unreachable(QhronosError):
    """`kind` is a short stable word for records and metrics: `dns`, `connect`, `tls`, `timeout`, `egress`, `protocol`…"""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
