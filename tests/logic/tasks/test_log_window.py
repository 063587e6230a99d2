"""log_window: reads that overlap give each event once, late ones too."""

from __future__ import annotations

from typing import Any

from aioecs._logic.tasks.log_window import OVERLAP, LogWindow


def event(at: Any, text: str = "x") -> dict[str, Any]:
    """Return an event."""
    return {"timestamp": at, "message": text}


def test_each_event_once() -> None:
    """By time, and as often as there are equal ones; the next read begins the overlap before the newest."""
    window = LogWindow(500)
    assert window.start == 500
    first = [event(OVERLAP + 2_000, "b"), event(OVERLAP + 1_000, "a"), event(OVERLAP + 1_000, "a")]
    assert [each["message"] for each in window.take(first)] == ["a", "a", "b"]
    assert window.start == 2_000
    late = event(2_500, "late")
    assert window.take([*first, late, event(OVERLAP + 1_000, "a")]) == [late, event(OVERLAP + 1_000, "a")]
    assert window.take([*first, late, event(OVERLAP + 1_000, "a")]) == []
    assert window.take([]) == []


def test_what_is_before_the_window_is_passed_over() -> None:
    """A request may begin earlier, for other streams."""
    window = LogWindow(1_000)
    assert window.take([event(999)]) == []
    window.take([event(100_000)])
    assert window.take([event(100_000 - OVERLAP - 1), event(100_000)]) == []


def test_what_other_reads_delivered() -> None:
    """It is not delivered again."""
    window = LogWindow()
    window.note([event(1_000, "a"), event(1_000, "a"), event(90_000, "b")])
    assert window.start == 90_000 - OVERLAP
    assert window.take([event(1_000, "a"), event(90_000, "b"), event(90_000, "c")]) == [event(90_000, "c")]


def test_events_that_are_none() -> None:
    """An event without a usable time or text is delivered once, as any other."""
    window = LogWindow()
    assert window.take([{}, event("soon"), {}]) == [{}, event("soon"), {}]
    assert window.take([{}, event("soon"), {}]) == []
