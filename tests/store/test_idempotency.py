from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from qhronos.errors import Invalid
from qhronos.store import idempotency
from qhronos.store.idempotency import Answer, Request

ANSWER = Answer(201, {"Location": "/events/1"}, b'{"id": 1}')


def request(key="k", digest=b"body", subject="tester") -> Request:
    return Request(subject, key, digest)


async def answer(store, clock, asked, given=ANSWER):
    """What the request gets, and whether it had to be worked for."""
    async with store.transaction() as conn:
        known = await idempotency.claim(conn, asked, clock.now())
        if known is None:
            await idempotency.record(conn, asked, given)
        return known or given


async def test_a_repeat_gets_the_first_answer(store, clock):
    await answer(store, clock, request())

    repeated = await answer(store, clock, request(), Answer(200, {}, b"other"))

    assert Answer(201, {"Location": "/events/1"}, b'{"id": 1}', replayed=True) == repeated


async def test_the_same_key_for_something_else_is_refused(store, clock):
    await answer(store, clock, request())

    with pytest.raises(Invalid) as refused:
        await answer(store, clock, request(digest=b"another body"))

    assert "Idempotency-Key" == refused.value.field


async def test_keys_of_different_subjects_do_not_meet(store, clock):
    await answer(store, clock, request())

    other = await answer(store, clock, request(subject="other"), Answer(200, {}, b"other"))

    assert (200, False) == (other.status, other.replayed)


async def test_after_a_day_a_key_may_be_used_again(store, clock):
    await answer(store, clock, request())
    clock.advance(timedelta(hours=24, seconds=1).total_seconds())

    later = await answer(store, clock, request(digest=b"another body"), Answer(200, {}, b"later"))

    assert (200, False) == (later.status, later.replayed)


async def test_what_was_rolled_back_was_not_answered(store, clock):
    async with store.connection() as conn, conn.transaction(force_rollback=True):
        await idempotency.claim(conn, request(), clock.now())
        await idempotency.record(conn, request(), ANSWER)

    again = await answer(store, clock, request())

    assert not again.replayed


async def test_of_many_at_once_one_does_the_work(store, clock):
    answers = await asyncio.gather(*(answer(store, clock, request()) for _ in range(20)))

    assert [False] + [True] * 19 == sorted(one.replayed for one in answers)
