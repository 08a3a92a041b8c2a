"""Breakers, shared in Redis by all who deliver; a clock that the test owns."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from qhronos.plan.breakers import GO, Admission, Breakers
from qhronos.redis_link import connect

ENDPOINT, PLACE = "https://example.com/in", "https://example.com"


@pytest.fixture
async def redis(redis_url):
    redis = connect(redis_url)
    yield redis
    await redis.aclose()


@pytest.fixture
def make(redis, redis_prefix, clock):
    """Another process."""
    return lambda: Breakers(redis, redis_prefix, clock)


@pytest.fixture
def breakers(make):
    return make()


async def send(breakers: Breakers, *ends: bool | None, endpoint: str = ENDPOINT) -> Admission:
    """Requests that end so, one after the other, if they may go. How the last was admitted."""
    for failed in ends:
        admission = await breakers.admit(endpoint)
        if admission.pause is None:
            await breakers.tell(endpoint, PLACE, admission, failed=failed)
    return admission


async def open_one(breakers, clock) -> None:
    await send(breakers, *[True] * 10)
    clock.advance(1.1)
    assert (await breakers.admit(ENDPOINT)).pause is not None


@pytest.mark.parametrize(
    ("failed", "answered", "opens"),
    [(9, 0, False), (10, 0, True), (7, 3, True), (6, 4, False), (69, 31, False), (70, 30, True)],
)
async def test_ten_results_and_seventy_percent_of_failures_open_it(breakers, clock, failed, answered, opens):
    await send(breakers, *[False] * answered, *[True] * failed)
    clock.advance(1.1)

    assert opens == ((await breakers.admit(ENDPOINT)).pause is not None)


async def test_what_says_nothing_of_the_endpoint_does_not_count(breakers, clock):
    await send(breakers, *[True] * 9, *[None] * 9)
    clock.advance(1.1)

    assert GO == await breakers.admit(ENDPOINT)


async def test_it_counts_five_minutes(breakers, clock):
    await send(breakers, *[True] * 5)
    clock.advance(200)
    await send(breakers, *[True] * 4)
    clock.advance(101)
    await send(breakers, *[True] * 4)
    clock.advance(1.1)

    assert GO == await breakers.admit(ENDPOINT)
    await send(breakers, *[True] * 2)
    clock.advance(1.1)
    assert (await breakers.admit(ENDPOINT)).pause is not None


async def test_it_is_of_one_endpoint(breakers, clock):
    await open_one(breakers, clock)

    assert GO == await breakers.admit(ENDPOINT + "/other")


async def test_all_processes_count_together_and_rest_together(make, clock):
    first, second, third = make(), make(), make()
    await send(first, *[True] * 5)
    await send(second, *[True] * 5)
    clock.advance(1.1)
    await first.admit(ENDPOINT)
    await second.admit(ENDPOINT)

    for each in (second, third):
        assert Admission(timedelta(seconds=30)) == await each.admit(ENDPOINT)


async def test_after_its_rest_one_probe_goes_and_the_others_wait(make, breakers, clock):
    await open_one(breakers, clock)
    clock.advance(30)
    other = make()

    assert Admission(is_probe=True) == await breakers.admit(ENDPOINT)
    assert {Admission(timedelta(seconds=5))} == {await each.admit(ENDPOINT) for each in (breakers, other, other)}


async def test_a_probe_that_is_answered_closes_it_for_all(make, breakers, clock):
    other = make()
    await open_one(breakers, clock)
    await other.admit(ENDPOINT)
    clock.advance(30)
    assert (await send(breakers, False)).is_probe

    assert GO == await breakers.admit(ENDPOINT)
    assert GO == await other.admit(ENDPOINT)
    await send(breakers, *[True] * 9)  # counted anew
    clock.advance(1.1)
    assert GO == await breakers.admit(ENDPOINT)


async def test_each_probe_that_fails_doubles_its_rest_up_to_a_quarter_of_an_hour(breakers, clock):
    await open_one(breakers, clock)
    rests = []
    for rest in (30, 60, 120, 240, 480, 900, 900):
        clock.advance(rest)
        assert (await send(breakers, True)).is_probe
        rests.append((await breakers.admit(ENDPOINT)).pause.total_seconds())

    assert [60, 120, 240, 480, 900, 900, 900] == rests


async def test_a_probe_that_comes_to_nothing_makes_room_for_another(breakers, clock):
    await open_one(breakers, clock)
    clock.advance(30)

    assert (await send(breakers, None)).is_probe
    assert (await breakers.admit(ENDPOINT)).is_probe


async def test_a_probe_of_which_nothing_is_heard_is_given_up(make, breakers, clock):
    await open_one(breakers, clock)
    clock.advance(30)
    await make().admit(ENDPOINT)
    clock.advance(64)
    before = await breakers.admit(ENDPOINT)
    clock.advance(1)

    assert (False, True) == (before.is_probe, (await breakers.admit(ENDPOINT)).is_probe)


async def test_late_answers_of_what_was_sent_before_change_nothing(make, breakers, clock):
    other = make()
    late = await other.admit(ENDPOINT)
    await open_one(breakers, clock)
    await other.tell(ENDPOINT, PLACE, late, failed=False)
    clock.advance(1.1)
    await other.admit(ENDPOINT)

    assert (await make().admit(ENDPOINT)).pause is not None


async def test_an_open_one_that_nobody_tries_is_forgotten(make, breakers, clock, redis, redis_prefix):
    await open_one(breakers, clock)
    clock.advance(3 * 3600)

    assert GO == await make().admit(ENDPOINT)
    assert [] == [key async for key in redis.scan_iter(f"{redis_prefix}*open")]


async def test_one_line_says_that_it_opened_and_one_that_it_closed(make, breakers, clock):
    other = make()
    with capture_logs() as logs:
        await open_one(breakers, clock)
        await other.admit(ENDPOINT)
        clock.advance(30)
        await send(breakers, True)
        clock.advance(60)
        await send(breakers, False)

    assert [
        {"event": "breaker.opened", "place": PLACE, "again": False, "log_level": "warning"},
        {"event": "breaker.opened", "place": PLACE, "again": True, "log_level": "warning"},
        {"event": "breaker.closed", "place": PLACE, "log_level": "info"},
    ] == logs


async def test_what_redis_keeps_names_no_url(breakers, clock, redis, redis_prefix):
    await open_one(breakers, clock)
    keys = [key async for key in redis.scan_iter(f"{redis_prefix}*")]

    assert len(keys) == 2
    assert not any(b"example" in key for key in keys)


async def test_while_redis_is_away_all_are_closed(redis_prefix, clock):
    away = Breakers(Redis.from_url("redis://127.0.0.1:1"), redis_prefix, clock)
    with capture_logs() as logs:
        await send(away, *[True] * 20)

        assert GO == await away.admit(ENDPOINT)
        clock.advance(2.1)
        assert GO == await away.admit(ENDPOINT)

    assert ["breakers.ignored"] * 2 == [line["event"] for line in logs]


async def test_a_redis_that_goes_away_while_one_is_open_closes_it_here(make, breakers, clock, monkeypatch):
    await open_one(breakers, clock)
    clock.advance(30.5)
    monkeypatch.setattr(breakers, "_redis", Redis.from_url("redis://127.0.0.1:1"))
    monkeypatch.setattr(breakers, "_fresh_until", clock.monotonic() + 1)

    assert GO == await breakers.admit(ENDPOINT)
    await breakers.tell(ENDPOINT, PLACE, Admission(is_probe=True), failed=True)
    assert GO == await breakers.admit(ENDPOINT)


async def test_many_who_ask_at_once_ask_redis_once(breakers, monkeypatch):
    asked = []
    pipeline = breakers._redis.pipeline

    def counted(**given):
        asked.append(given)
        return pipeline(**given)

    monkeypatch.setattr(breakers._redis, "pipeline", counted)
    await asyncio.gather(*(breakers.admit(f"https://example.com/{number}") for number in range(100)))

    assert len(asked) == 1
