"""What was answered to requests that carried an Idempotency-Key, so that a repeat gets the same answer.

The record is written in the transaction of the change it answers: neither exists without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from qhronos.errors import Invalid
from qhronos.store import Connection, load_sql

SQL = load_sql("idempotency")
KEPT = timedelta(hours=24)
MISUSED = "this Idempotency-Key was used for another request; take a new one"


class Request(NamedTuple):
    """Keys of different subjects never meet. `digest` is of what the request asks for."""

    subject: str
    key: str
    digest: bytes


class Answer(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes
    replayed: bool = False


async def claim(conn: Connection, request: Request | None, now: datetime) -> Answer | None:
    """The answer that `request` got before; None: it is new, and is to be answered with `record` in this transaction.

    Raises Invalid if its key was used for something else.
    """
    if request is None or await claim_many(conn, [(request, None)], now):
        return None
    found = (await find(conn, [request])).get(request)
    if found is None:
        raise Invalid(MISUSED, field="Idempotency-Key")
    return found


async def claim_many(
    conn: Connection, requests: Sequence[tuple[Request, Answer | None]], now: datetime
) -> set[tuple[str, str]]:
    """Record all at once, with their answers; the (subject, key) of those that are new. Each key at most once."""
    if not requests:
        return set()
    params = _keys([request for request, _ in requests]) | {
        "hashes": [request.digest for request, _ in requests],
        "statuses": [answer.status if answer else None for _, answer in requests],
        "headers": [_encode(answer.headers) if answer else None for _, answer in requests],
        "bodies": [answer.body if answer else None for _, answer in requests],
        "now": now,
        "expired": now - KEPT,
    }
    cursor = await conn.execute(SQL["claim_keys"], params)
    return {(row[0], row[1]) for row in await cursor.fetchall()}


async def find(conn: Connection, requests: Sequence[Request]) -> dict[Request, Answer]:
    """What was answered to these before; one whose key was used for something else is left out."""
    if not requests:
        return {}
    cursor = await conn.execute(SQL["find_answers"], _keys(requests))
    stored = {Request(*row[:3]): _answer(*row[3:]) for row in await cursor.fetchall()}
    return {request: stored[request] for request in requests if request in stored}


async def record(conn: Connection, request: Request | None, answer: Answer) -> None:
    """Complete what `claim` began."""
    if request is not None:
        params = {"status": answer.status, "headers": _encode(answer.headers), "body": answer.body}
        await conn.execute(SQL["set_answer"], params | {"subject": request.subject, "key": request.key})


async def release(conn: Connection, requests: Sequence[Request]) -> None:
    """Forget what was recorded in this transaction."""
    if requests:
        await conn.execute(SQL["release_keys"], _keys(requests))


def _answer(status: int, headers: msgspec.Raw, body: bytes) -> Answer:
    return Answer(status, msgspec.json.decode(headers, type=dict[str, str]), body, replayed=True)


def _encode(headers: dict[str, str]) -> str:
    return msgspec.json.encode(headers).decode()


def _keys(requests: Sequence[Request]) -> dict[str, Any]:
    return {"subjects": [request.subject for request in requests], "keys": [request.key for request in requests]}
