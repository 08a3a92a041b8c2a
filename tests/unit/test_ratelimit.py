from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.ratelimit import Judged, Limit, judge, limit_of, verdict, whole_seconds
from qhronos.plan.ratelimit import KEPT, LocalLimiter
from tests.fakes import FakeClock

SECOND = 1_000_000
TEN_A_SECOND = limit_of(10, burst=3)


def test_a_burst_is_allowed_at_once_and_then_one_an_interval():
    clock = FakeClock()
    limiter = LocalLimiter(clock, TEN_A_SECOND)

    assert [True, True, True, False] == [limiter.take("ada").allowed for _ in range(4)]

    clock.advance(0.1)

    assert [True, False] == [limiter.take("ada").allowed for _ in range(2)]


def test_the_limit_holds_over_time_and_not_only_for_a_burst():
    """The first Qhronos forgot idle buckets after a second, so its limit was ten times what it said."""
    clock = FakeClock()
    limiter = LocalLimiter(clock, limit_of(10, burst=100))
    allowed = 0
    for _ in range(20):
        allowed += sum(limiter.take("ada").allowed for _ in range(200))
        clock.advance(1)

    assert 100 + 19 * 10 == allowed


def test_callers_do_not_share_an_allowance():
    limiter = LocalLimiter(FakeClock(), limit_of(1, burst=1))

    assert [True, True, False] == [limiter.take(subject).allowed for subject in ("ada", "bob", "ada")]


def test_a_refusal_says_when_to_come_back_and_is_right():
    _, judged = judge(2 * SECOND, SECOND, Limit(interval=SECOND, burst=1))

    assert Judged(allowed=0, remaining=0, retry_after=SECOND, reset=SECOND) == judged


def test_what_is_left_counts_down():
    limiter = LocalLimiter(FakeClock(), TEN_A_SECOND)

    assert [2, 1, 0, 0] == [limiter.take("ada").remaining for _ in range(4)]


def test_retry_after_is_a_whole_second_and_never_too_early():
    assert [1, 1, 1, 2, 61] == [whole_seconds(us) for us in (0, 1, SECOND, SECOND + 1, 60 * SECOND + 1)]


def test_the_callers_remembered_here_are_bounded():
    limiter = LocalLimiter(FakeClock(), limit_of(1, burst=1))
    limiter.take("first")
    for number in range(KEPT):
        limiter.take(str(number))

    assert limiter.take("first").allowed


limits = st.builds(Limit, interval=st.integers(1, 2 * SECOND), burst=st.integers(1, 50))


@given(limits, st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 5)), max_size=30))
def test_requests_judged_together_fare_as_they_would_one_by_one(limit, arrivals):
    now = alone = together = 0
    for pause, count in arrivals:
        now += pause
        singly = []
        for _ in range(count):
            alone, judged = judge(alone, now, limit)
            singly.append(verdict(judged, limit))
        together, judged = judge(together, now, limit, count)
        jointly = [verdict(judged, limit, place) for place in range(count)]

        assert [(one.allowed, one.remaining, one.retry_after) for one in singly] == [
            (one.allowed, one.remaining, one.retry_after) for one in jointly
        ]
        assert alone == together


@given(limits, st.lists(st.integers(0, SECOND), max_size=50))
def test_who_waits_as_long_as_told_is_let_in(limit, pauses):
    now = tat = 0
    for pause in pauses:
        now += pause
        tat, judged = judge(tat, now, limit)
        if not judged.allowed:
            now += judged.retry_after
            tat, judged = judge(tat, now, limit)

        assert judged.allowed
        assert tat - now <= limit.interval * limit.burst
