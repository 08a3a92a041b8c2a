"""Access tokens: fetched by the client that delivers, kept until shortly before they end, one fetch at a time for each grant."""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from qhronos.actions.oauth2 import Grant
from qhronos.errors import Unreachable
from qhronos.http import Busy, Client, Response, url

V = TypeVar("V")

MOST = 10_000  # tokens that are kept
PAUSE = (
    1.0  # seconds in which a token endpoint is not asked again that gave none, or one that is refused: many may be due
)
USUAL_LIFE = 300.0  # seconds of a token whose end is not said
LONGEST_LIFE = 86_400.0
MARGIN = 30.0  # seconds before its end in which a token is not used any more; of short lives a tenth
TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
CODE = re.compile(r"[a-z_]{1,40}")


class NoToken(Unreachable):
    """Nothing was sent to the endpoint itself. `retry_after`: what the token endpoint says of it, as it says it."""

    def __init__(self, grant: Grant, why: str, kind: str = "token", retry_after: str | None = None) -> None:
        super().__init__(kind, f"no access token from {url.parse(grant.token_url).origin}: {why}")
        self.why = why
        self.retry_after = retry_after


class Token(NamedTuple):
    value: str
    until: float


class Missed(NamedTuple):
    """Not the error itself: raised again and again, it would keep all that it has passed through."""

    why: str
    kind: str
    retry_after: str | None
    until: float


class Answer(Struct):
    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a type
    expires_in: float | None = None


class Complaint(Struct):
    error: str


_answer = msgspec.json.Decoder(Answer, strict=False).decode
_complaint = msgspec.json.Decoder(Complaint).decode


class Tokens:
    """Those of one process."""

    def __init__(self, http: Client) -> None:
        self._http = http
        self._known: dict[Grant, Token] = {}
        self._missed: dict[Grant, Missed] = {}
        self._renewed: dict[Grant, float] = {}  # when last; `monotonic`
        self._fetching: dict[Grant, asyncio.Task[str]] = {}

    async def get(self, grant: Grant, seconds: float) -> str:
        """Within so many seconds. Raises NoToken, and Busy if there is no room at the token endpoint."""
        now, known, missed = self._http.clock.monotonic(), self._known.get(grant), self._missed.get(grant)
        if known and known.until > now:
            return known.value
        if missed and missed.until > now:
            raise NoToken(grant, missed.why, missed.kind, missed.retry_after)
        try:
            async with asyncio.timeout(seconds):
                # One fetch serves all who wait for it, and goes on when one of them gives up.
                return await asyncio.shield(self._fetch_of(grant))
        except TimeoutError as error:
            raise NoToken(grant, "it did not come in time", "timeout") from error

    async def renew(self, grant: Grant, refused: str, seconds: float) -> str | None:
        """Another than one that was refused; somebody else may have fetched it meanwhile. None: the last one that was got for
        this has just been refused as well, so it is not for want of a good one. Raises as `get` does."""
        known, now = self._known.get(grant), self._http.clock.monotonic()
        if known and known.value == refused:
            if now - self._renewed.get(grant, -PAUSE) < PAUSE:
                return None
            _put(self._renewed, grant, now)
            del self._known[grant]
        return await self.get(grant, seconds)

    def _fetch_of(self, grant: Grant) -> asyncio.Task[str]:
        if grant not in self._fetching:
            task = self._fetching[grant] = asyncio.create_task(self._fetch(grant))
            task.add_done_callback(lambda task: self._done(grant, task))
        return self._fetching[grant]

    def _done(self, grant: Grant, task: asyncio.Task[str]) -> None:
        del self._fetching[grant]
        if not task.cancelled():
            task.exception()  # seen here, in case that all who waited have given up

    async def _fetch(self, grant: Grant) -> str:
        began = self._http.clock.monotonic()
        try:
            answer = await self._ask(grant)
        except NoToken as error:
            until = self._http.clock.monotonic() + PAUSE
            _put(self._missed, grant, Missed(error.why, error.kind, error.retry_after, until))
            raise
        life = min(USUAL_LIFE if answer.expires_in is None else answer.expires_in, LONGEST_LIFE)
        _put(self._known, grant, Token(answer.access_token, began + life - min(MARGIN, life / 10)))
        return answer.access_token

    async def _ask(self, grant: Grant) -> Answer:
        try:
            return _read(grant, await self._http.send(grant.request()))
        except (Busy, NoToken):
            raise
        except Unreachable as error:
            raise NoToken(grant, str(error), error.kind) from error


def _put(into: dict[Grant, V], grant: Grant, value: V) -> None:
    """As the latest of them; where there are too many, the earliest goes."""
    into.pop(grant, None)
    if len(into) >= MOST:
        del into[next(iter(into))]
    into[grant] = value


def _read(grant: Grant, response: Response) -> Answer:
    """Raises NoToken, which repeats nothing of the answer but the code of an error."""
    if response.status != 200:
        why = f"HTTP {response.status}{_code(response.body)}"
        raise NoToken(grant, why, retry_after=response.header("retry-after"))
    try:
        answer = _answer(response.body)
    except (msgspec.DecodeError, UnicodeError):
        # What the decoder complains of may hold a token.
        raise NoToken(grant, "its answer is not that of RFC 6749, JSON with an access_token") from None
    if not TOKEN.fullmatch(answer.access_token):
        raise NoToken(grant, "the token cannot be sent in a header")
    if answer.token_type.lower() != "bearer":
        raise NoToken(grant, "the token is of another type than Bearer")
    return answer


def _code(body: bytes) -> str:
    try:
        code = _complaint(body).error
    except (msgspec.DecodeError, UnicodeError):
        return ""
    return f" ({code})" if CODE.fullmatch(code) else ""
