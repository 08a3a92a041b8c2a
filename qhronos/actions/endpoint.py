"""What actions over HTTP share: who a delivery says it is, and how an answer is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from qhronos import __version__, http
from qhronos.actions.base import Means
from qhronos.actions.oauth2 import Grant
from qhronos.actions.tokens import NoToken
from qhronos.core.attempt import Delivered, Delivery, Failed, Outcome, Parked, Refused, Sent, Withdrawn
from qhronos.core.scrub import scrub
from qhronos.errors import Invalid, Unreachable
from qhronos.http import Busy, Request, Response, headers, url
from qhronos.http.headers import Headers

AGENT = ("user-agent", f"Qhronos/{__version__}")
LONGEST_EXCERPT = 4096  # bytes
LONGEST_LOOKED_AT = 4 * LONGEST_EXCERPT  # of a body, for secrets; many take time, and masks are shorter
# Beside every 5xx. The endpoint says, or it goes without saying, that later may be better.
LATER = frozenset({408, 425, 429})
UNAUTHENTICATED = 401
GONE = 410
FINAL = frozenset({"egress", "redirect"})  # what makes an endpoint unreachable for good


def identity(delivery: Delivery) -> Headers:
    """The same for every attempt, but for its number."""
    return named(str(delivery.event_id), delivery.attempt, rfc3339(delivery.due_at))


def named(event_id: str, attempt: int, scheduled_at: str) -> Headers:
    return (
        ("x-qhronos-event-id", event_id),
        ("x-qhronos-attempt", str(attempt)),
        ("x-qhronos-scheduled-at", scheduled_at),
    )


def rfc3339(instant: datetime) -> str:
    """In UTC with `Z`, and with microseconds only if there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def merge(own: Headers, given: Mapping[str, str]) -> Headers:
    """Our headers and those of the user, whose word on the same name counts. Raises Invalid for what may not be given."""
    if not given:
        return own
    headers.check(given)
    names = {name.lower() for name in given}
    return (*(header for header in own if header[0] not in names), *given.items())


class Letter:
    """A request that is ready to go, but for what depends on the instant at which it goes."""

    __slots__ = ("_delivery", "_endpoint", "_grant", "_means", "_takes", "_write", "place", "type")

    def __init__(
        self,
        kind: str,
        means: Means,
        delivery: Delivery,
        address: str,
        write: Callable[[datetime], Request],
        takes: Callable[[int], bool],
        grant: Grant | None = None,
    ) -> None:
        """`grant`: for the token that it wants. Raises Invalid for an address that is none."""
        target = url.parse(address)
        self.type = kind
        self.place = target.origin
        self._endpoint = target.origin + target.target.partition("?")[0]
        self._means = means
        self._delivery = delivery
        self._write = write
        self._takes = takes
        self._grant = grant

    async def perform(self, now: datetime) -> Sent:
        """Send, unless the endpoint is given a rest, and judge by the status whether it was taken."""
        breakers = self._means.breakers
        if breakers is None:
            return (await self._try(now))[0]
        admission = await breakers.admit(self._endpoint)
        if admission.pause is not None:
            return Parked(cause="breaker", place=self.place, pause=admission.pause)
        failed = None
        try:
            performed, failed = await self._try(now)
        finally:
            await breakers.tell(self._endpoint, self.place, admission, failed=failed)
        return performed

    async def _try(self, now: datetime) -> tuple[Sent, bool | None]:
        """What came of it, and whether the endpoint has failed; None: that says nothing of it, as it was not asked."""
        try:
            if self._grant is None:
                performed = await self._send(self._write(now), now, self._delivery)
            else:
                performed = await self._send_with_token(self._grant, now)
        except Busy as error:
            return _parked(error), None
        except NoToken as error:
            return _unreached(error, self._delivery, headers.retry_after(error.retry_after, now)), None
        return performed, _has_failed(performed)

    async def _send_with_token(self, grant: Grant, now: datetime) -> Sent:
        """And once more with another one, if there is any, where the endpoint does not take it. Raises NoToken and Busy for
        want of one."""
        clock, tokens = self._means.http.clock, self._means.tokens
        request = self._write(now)
        deadline = clock.monotonic() + request.timeout

        def left() -> float:
            return max(0.0, round(deadline - clock.monotonic(), 3))

        async def send(token: str) -> Sent:
            authorised = (*request.headers, ("authorization", f"Bearer {token}"))
            confidential = replace(self._delivery, other_secrets=(*self._delivery.other_secrets, token))
            return await self._send(replace(request, headers=authorised, timeout=left()), now, confidential)

        token = await tokens.get(grant, left())
        performed = await send(token)
        if not isinstance(performed, Refused) or performed.status_code != UNAUTHENTICATED:
            return performed
        later = Failed(reason=performed.reason, status_code=performed.status_code, excerpt=performed.excerpt)
        try:
            if (another := await tokens.renew(grant, token, left())) is None:
                return performed
            again = await send(another)
        except Busy:
            return later
        return later if isinstance(again, Parked | Withdrawn) else again  # something was sent before

    async def _send(self, request: Request, now: datetime, delivery: Delivery) -> Sent:
        try:
            response = await self._means.http.send(request)
        except Busy as error:
            return _parked(error)
        except http.Withdrawn:
            return Withdrawn()
        except Unreachable as error:
            return _unreached(error, delivery)
        except Invalid as error:
            return Refused(reason=str(error))
        return judge(response, delivery.confidential, self._takes, now, follows=request.redirects > 0)


def _parked(error: Busy) -> Parked:
    pause = None if error.pause is None else timedelta(seconds=error.pause)
    return Parked(cause="full" if pause is None else "rate", place=error.place, pause=pause)


def _unreached(error: Unreachable, delivery: Delivery, retry_after: timedelta | None = None) -> Failed | Refused:
    reason = scrub(str(error), delivery.confidential)
    return Refused(reason=reason) if error.kind in FINAL else Failed(reason=reason, retry_after=retry_after)


def _has_failed(performed: Sent) -> bool | None:
    """None: it says nothing of the endpoint, which was not asked. One that refuses is well."""
    if isinstance(performed, Failed):
        return True
    return None if isinstance(performed, Parked | Withdrawn) or performed.status_code is None else False


def judge(
    response: Response,
    confidential: tuple[str, ...],
    takes: Callable[[int], bool],
    now: datetime,
    *,
    follows: bool = False,
) -> Outcome:
    status = response.status
    text = excerpt(response.body, confidential, cut=response.truncated)
    if takes(status):
        return Delivered(status_code=status, excerpt=text)
    if status in LATER or status >= 500:
        asked = headers.retry_after(response.header("retry-after"), now)
        return Failed(reason=f"HTTP {status}", status_code=status, excerpt=text, retry_after=asked)
    return Refused(reason=_reason(status, follows=follows), status_code=status, excerpt=text, gone=status == GONE)


def excerpt(body: bytes, secrets: tuple[str, ...], *, cut: bool = False) -> str:
    """The first of a body as text that can be stored and shown. It holds no NUL and none of the secrets."""
    if not body:
        return ""
    text = body[:LONGEST_LOOKED_AT].decode(errors="replace").replace("\0", "")
    # Before the cut, or half a secret could stay.
    text = scrub(text, secrets, cut=cut or len(body) > LONGEST_LOOKED_AT)
    return text.encode()[:LONGEST_EXCERPT].decode(errors="ignore")


def _reason(status: int, *, follows: bool) -> str:
    if status < 300:
        return f"HTTP {status}: not one of the success codes"
    if status < 400 and follows:
        return f"HTTP {status}: it leads nowhere, or on for too long"
    if status < 400:
        return f"HTTP {status}: redirects are not followed"
    return "HTTP 410: the endpoint is gone for good" if status == GONE else f"HTTP {status}"
