"""retry: whether what does no harm twice is tried again."""

from __future__ import annotations

import pytest

from aioecs import Retries
from aioecs._logic.calls.retry import LATE_LOOKUP_DELAY, RetryState, longest_before_lookup, lookup_delay
from aioecs._model.attempt import Lost, NotSent, Rejected
from aioecs.errors import (
    AnswerLost,
    ClusterNotFoundException,
    ConfigurationError,
    ConnectionFailed,
    InvalidParameterException,
    ServerException,
    ThrottlingException,
)

What = Rejected | NotSent | Lost

UNSENT = NotSent(ConnectionFailed("refused"))
LOST = Lost(AnswerLost("gone"))
FAULT = Lost(ServerException("fault", status=500))
THROTTLED = Rejected(ThrottlingException("Rate exceeded"))
DISGUISED = Rejected(InvalidParameterException("Error: Rate exceeded (ErrorCode: Throttling)", status=400))
REFUSED = Rejected(ClusterNotFoundException("Cluster not found.", status=400))
UNSET = NotSent(ConfigurationError("no credentials"))


def tries(attempts: int = 5, deadline: float = 100.0) -> RetryState:
    """Begin a call."""
    return RetryState(Retries(max_attempts=attempts, initial_backoff=0.1, max_backoff=1.0), deadline)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        pytest.param([UNSENT] * 5, [0.1, 0.2, 0.4, 0.8, None], id="not sent"),
        pytest.param([LOST] * 5, [0.1, 0.2, 0.4, 0.8, None], id="lost"),
        pytest.param([FAULT, UNSENT, LOST, FAULT, UNSENT], [0.1, 0.2, 0.4, 0.8, None], id="all of them count"),
        pytest.param([THROTTLED] * 6, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], id="throttles don't count"),
        pytest.param([DISGUISED] * 6, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], id="in disguise neither"),
        pytest.param([THROTTLED, LOST, THROTTLED], [0.1, 0.2, 0.4], id="but both lengthen the backoff"),
        pytest.param([REFUSED], [None], id="refused"),
        pytest.param([UNSET], [None], id="settings that can't work"),
    ],
)
def test_backoffs(what: list[What], expected: list[float | None]) -> None:
    """The longest backoffs of consecutive failures; None ends them."""
    call = tries()
    assert [call.backoff(one, 0.0, 1.0) for one in what] == pytest.approx(expected)


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 0.0), (0.5, 0.05), (1.0, 0.1)])
def test_jitter_is_a_part_of_the_backoff(jitter: float, expected: float) -> None:
    """A backoff is drawn from nothing to the longest, so that callers don't come back in step."""
    assert tries().backoff(UNSENT, 0.0, jitter) == pytest.approx(expected)


def test_one_attempt_is_one_attempt() -> None:
    """With a single attempt allowed, only throttles are tried again."""
    assert tries(attempts=1).backoff(LOST, 0.0, 1.0) is None
    assert tries(attempts=1).backoff(THROTTLED, 0.0, 1.0) is not None


@pytest.mark.parametrize("what", [UNSENT, LOST, THROTTLED])
@pytest.mark.parametrize(("now", "fits"), [(99.0, True), (99.9, False), (101.0, False)])
def test_a_backoff_that_does_not_fit_is_not_begun(what: What, now: float, fits: bool) -> None:
    """The clock bounds everything, throttles among it."""
    assert (tries().backoff(what, now, 1.0) is not None) is fits


def test_very_many_throttles_are_no_overflow() -> None:
    """Ten thousand throttles leave the rest at its longest."""
    call = tries()
    assert [call.backoff(THROTTLED, 0.0, 1.0) for _ in range(10_000)][-1] == 1.0


def test_lookups_come_less_and_less_often() -> None:
    """Three times as long each time, which `max_backoff` bounds once a lookup may prove absence."""
    retries = Retries(initial_backoff=0.1, max_backoff=5)
    longest = [longest_before_lookup(retries, before, late=False) for before in range(6)]
    assert longest == pytest.approx([0.1, 0.3, 0.9, 2.7, 8.1, 24.3])
    assert longest_before_lookup(retries, 5, late=True) == 5
    assert longest_before_lookup(retries, 10_000, late=False) < float("inf")


def test_what_a_lookup_waits_for_others() -> None:
    """The first not at all, later ones half a backoff, and one that may prove absence half a second."""
    retries = Retries(initial_backoff=0.1, max_backoff=5)
    delays = [lookup_delay(retries, number, late=False) for number in (1, 2, 3, 6, 9)]
    assert delays == pytest.approx([0, 0.15, 0.45, 2.5, 2.5])
    assert [lookup_delay(retries, number, late=True) for number in (1, 9)] == [0, LATE_LOOKUP_DELAY]
