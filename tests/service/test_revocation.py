from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest

from qhronos.api.revocation import FRESH, STALE, Revocations
from qhronos.errors import Unauthenticated, Unavailable
from qhronos.store import tokens
from tests.fakes import CutDatabase


@pytest.fixture
def cut(deps) -> CutDatabase:
    return CutDatabase(deps.database)


@pytest.fixture
def revocations(cut, clock) -> Revocations:
    return Revocations(cut, clock)


async def revoke(deps) -> uuid.UUID:
    """As another process does it."""
    now = deps.clock.now()
    row = tokens.TokenRow(
        id=uuid.uuid4(), sub="ada", access="read", scope=["a"], issued_at=now, expires_at=now + timedelta(hours=1)
    )
    async with deps.database.transaction() as conn:
        await tokens.record(conn, row)
        await tokens.revoke(conn, row.id, now)
    return row.id


async def test_a_revoked_token_is_refused_from_the_first_question_on(deps, revocations):
    revoked = await revoke(deps)

    await revocations.check(uuid.uuid4())

    with pytest.raises(Unauthenticated):
        await revocations.check(revoked)


async def test_many_questions_are_one_read(revocations, cut):
    await asyncio.gather(*(revocations.check(uuid.uuid4()) for _ in range(50)))

    assert 1 == cut.asked


async def test_the_set_is_read_again_when_it_is_old_and_not_before(deps, revocations, cut, clock):
    await revocations.check(uuid.uuid4())
    revoked = await revoke(deps)
    clock.advance(FRESH)
    await revocations.check(revoked)
    clock.advance(0.1)

    with pytest.raises(Unauthenticated):
        await revocations.check(revoked)

    assert 2 == cut.asked


async def test_without_postgres_the_known_set_holds_for_a_while_and_then_nobody_is_believed(
    deps, revocations, cut, clock
):
    revoked = await revoke(deps)
    await revocations.check(uuid.uuid4())
    cut.away = True
    clock.advance(STALE - 1)
    await revocations.check(uuid.uuid4())

    with pytest.raises(Unauthenticated):
        await revocations.check(revoked)

    clock.advance(2)

    with pytest.raises(Unavailable):
        await revocations.check(uuid.uuid4())

    cut.away = False
    clock.advance(1)
    await revocations.check(uuid.uuid4())


async def test_a_process_that_never_read_the_set_believes_nobody(revocations, cut):
    cut.away = True

    with pytest.raises(Unavailable):
        await revocations.check(uuid.uuid4())


async def test_an_outage_is_not_asked_about_at_every_request(revocations, cut, clock):
    await revocations.check(uuid.uuid4())
    cut.away = True
    clock.advance(FRESH + 1)
    for _ in range(10):
        await revocations.check(uuid.uuid4())

    assert 2 == cut.asked


async def test_what_is_revoked_while_the_set_is_read_stays_revoked(revocations):
    late = uuid.uuid4()
    reading = asyncio.create_task(revocations.check(uuid.uuid4()))
    await asyncio.sleep(0)  # noqa: TID251 - the read is under way
    revocations.add(late)
    await reading

    with pytest.raises(Unauthenticated):
        await revocations.check(late)
