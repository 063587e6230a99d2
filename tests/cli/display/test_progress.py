"""Progress, as a terminal of any width and a pipe show it."""

from __future__ import annotations

import pytest
from start_reports import drawn, refused, report, start

from aioecs import Outcome
from aioecs.cli._display.progress import duration, progress, progress_line


def test_progress_on_a_wide_terminal() -> None:
    """One line: how many are finished, a bar, and the counts."""
    (line,) = drawn(progress(report(4, start(Outcome.STARTED), refused("AGENT"), throttled=3), 100), 100)
    assert line.startswith("2/4 50% ")
    assert "━" in line
    assert line.rstrip().endswith("1 started, 1 refused, 3 throttled, 0 tasks/s, 2s, 2s left")


@pytest.mark.parametrize("width", [20, 40, 60, 79, 80, 100, 200])
@pytest.mark.parametrize("interrupted", [None, "SIGINT"])
@pytest.mark.parametrize("rate", [40.0, float("inf")])
def test_progress_fits(width: int, interrupted: str | None, rate: float) -> None:
    """At any width no line is too long, with columns left for the "^C" that a terminal writes behind it."""
    shown = report(10_000, start(Outcome.STARTED), interrupted=interrupted, rate=rate)
    lines = drawn(progress(shown, width), width)
    assert ("calls/s" in " ".join(lines)) is (rate == 40)
    assert max(len(line.rstrip()) for line in lines) <= width - 2
    assert "10,000" in lines[0]
    assert ("ends at once" in " ".join(" ".join(lines).split())) is (interrupted is not None)


def test_progress_too_narrow_for_a_bar() -> None:
    """A narrow terminal gets the counts without the bar."""
    assert "━" not in "".join(drawn(progress(report(10, start(Outcome.STARTED)), 30), 30))


@pytest.mark.parametrize(("seconds", "rate"), [(0.0, "0 tasks/s"), (0.5, "2 tasks/s")])
def test_progress_shows_the_rate(seconds: float, rate: str) -> None:
    """The rate is of tasks started; before any time has passed it is nought."""
    (line,) = drawn(progress(report(10, start(Outcome.STARTED), seconds=seconds), 120), 120)
    assert f" {rate}" in line


@pytest.mark.parametrize(
    ("rate", "limit"),
    [(40.0, "at most 40 calls/s"), (1234.5, "at most 1,234 calls/s"), (2.54, "at most 2.5 calls/s")],
)
def test_progress_shows_the_rate_limit(rate: float, limit: str) -> None:
    """What the rate_limit has learnt stands behind the counts."""
    (line,) = drawn(progress(report(10, start(Outcome.STARTED), rate=rate), 120), 120)
    assert line.rstrip().endswith(f" 0 tasks/s, 2s, 18s left, {limit}")
    assert "━" in line


def test_progress_without_a_rate_limit() -> None:
    """Without a rate limit none is shown."""
    assert "at most" not in "".join(drawn(progress(report(10, start(Outcome.STARTED)), 120), 120))


def test_the_rate_limit_gets_a_line_of_its_own() -> None:
    """On 55 columns the bar stays, and the rate limit has a line of its own."""
    first, second = drawn(progress(report(2, start(Outcome.STARTED), rate=40.0), 55), 55)
    assert "━" in first
    assert second.strip() == "at most 40 calls/s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (69, "1m09s"), (3600, "1h00m"), (7500, "2h05m")]
)
def test_durations(seconds: float, text: str) -> None:
    """They are short."""
    assert duration(seconds) == text


def test_the_bar_does_not_leap_to_the_end() -> None:
    """After an interrupt, what was not sent is not counted as done, and no time left is shown."""
    unsent = [start(Outcome.NOT_SENT)] * 8
    shown = report(10, start(Outcome.STARTED), *unsent, interrupted="SIGINT")
    first, *_ = drawn(progress(shown, 120), 120)
    assert first.startswith("1/10 10% ")
    assert "left" not in first


def test_a_line_of_progress() -> None:
    """Without a terminal a line has the same facts."""
    assert progress_line(report(4, start(Outcome.STARTED), refused("AGENT"))).plain == (
        "2 of 4, 50%, 1 started, 1 refused, 0 tasks/s, 2s, 2s left"
    )
    assert progress_line(report(4, interrupted="SIGINT")).plain.startswith(
        "interrupted, waiting for what is in flight; 0 of 4, 0%"
    )
