from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.attempt import Delivered, Failed, Refused
from qhronos.core.retry import Backoff, Retry, is_retried, next_pause

RETRY = Retry(max_attempts=4, backoff=Backoff(base=2, factor=3, cap=10, jitter=0.5))


def seconds(pause: timedelta | None) -> float | None:
    return None if pause is None else pause.total_seconds()


@pytest.mark.parametrize(("failures", "expected"), [(1, 2), (2, 6), (3, 10), (1000, 10)])
def test_pauses_grow_by_the_factor_up_to_the_cap(failures, expected):
    assert expected == RETRY.backoff.pause(failures, 0).total_seconds()


@given(st.integers(1, 10_000), st.floats(-1, 1))
def test_jitter_moves_a_pause_by_no_more_than_its_share(failures, jitter):
    plain = RETRY.backoff.pause(failures, 0)
    moved = RETRY.backoff.pause(failures, jitter)

    assert plain * 0.499 <= moved <= plain * 1.501


def test_what_was_delivered_or_refused_is_not_tried_again():
    assert next_pause(RETRY, Delivered(), 1, 0, timedelta()) is None
    assert next_pause(RETRY, Refused(reason="HTTP 404"), 1, 0, timedelta()) is None


def test_attempts_end_with_the_last_one_allowed():
    failed = Failed(reason="HTTP 503")

    assert [2, 6, 10, None] == [seconds(next_pause(RETRY, failed, starts, 0, timedelta())) for starts in (1, 2, 3, 4)]


@pytest.mark.parametrize(("asked", "expected"), [(1, 2), (60, 60), (3600, 3600), (86_400, 3600)])
def test_an_endpoint_may_ask_for_a_longer_pause_but_not_for_ever(asked, expected):
    failed = Failed(reason="HTTP 429", retry_after=timedelta(seconds=asked))

    assert expected == seconds(next_pause(RETRY, failed, 1, 0, timedelta()))


def test_a_long_pause_of_our_own_may_be_doubled():
    slow = Retry(max_attempts=9, backoff=Backoff(base=7200, cap=7200, jitter=0))
    failed = Failed(reason="HTTP 429", retry_after=timedelta(days=2))

    assert 14_400 == seconds(next_pause(slow, failed, 1, 0, timedelta()))


def test_pauses_may_be_listed_and_the_last_stays():
    listed = Retry(max_attempts=5, backoff=(5, 300))

    assert [5, 300, 300, 300] == [
        seconds(next_pause(listed, Failed(reason="x"), starts, 0, timedelta())) for starts in range(1, 5)
    ]


@pytest.mark.parametrize(("spent", "expected"), [(0, 2), (8, 2), (9, None)])
def test_no_attempt_begins_after_the_deadline(spent, expected):
    short = Retry(max_attempts=9, backoff=Backoff(base=2, jitter=0), deadline=10)

    assert expected == seconds(next_pause(short, Failed(reason="x"), 1, 0, timedelta(seconds=spent)))


@pytest.mark.parametrize(
    ("retry_on", "outcome", "expected"),
    [
        (None, Failed(reason="HTTP 503", status_code=503), True),
        (None, Refused(reason="HTTP 404", status_code=404), False),
        (("404",), Refused(reason="HTTP 404", status_code=404), True),
        (("4xx",), Refused(reason="HTTP 404", status_code=404), True),
        (("network",), Failed(reason="timeout"), True),
        (("network",), Failed(reason="HTTP 503", status_code=503), False),
        (("5xx",), Failed(reason="timeout"), False),
        (("network", "5xx"), Refused(reason="the address is denied"), False),
        ((), Failed(reason="HTTP 503", status_code=503), False),
        (("5xx",), Delivered(status_code=200), False),
    ],
)
def test_an_event_says_what_is_worth_trying_again(retry_on, outcome, expected):
    assert expected == is_retried(Retry(retry_on=retry_on), outcome)
