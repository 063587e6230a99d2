"""log_cursor: whatever pages come, and wherever a token is refused, each line is returned once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from aioecs._logic.tasks.log_cursor import LONGEST, SHORTEST, LogCursor


def event(at: int, text: str = "") -> dict[str, Any]:
    return {"timestamp": at, "message": text}


def test_the_pages_of_a_stream() -> None:
    """From the head on; an empty page is not the end, an unchanged token is."""
    cursor = LogCursor()
    assert cursor.request() == {"startFromHead": True}
    assert cursor.take([event(1), event(1)], "a") == [event(1), event(1)]
    assert (cursor.at_end, cursor.request()) == (False, {"startFromHead": True, "nextToken": "a"})
    assert cursor.take([], "b") == []
    assert not cursor.at_end
    assert cursor.take([], "b") == []
    assert cursor.at_end


def test_a_quiet_stream_is_read_less_often() -> None:
    """Up to ten seconds apart; a line makes it a second again."""
    cursor = LogCursor()
    for _ in range(20):
        cursor.take([], "a")
    assert cursor.interval == LONGEST
    cursor.take([event(1)], "b")
    assert cursor.interval == SHORTEST
    cursor.missing()
    assert cursor.at_end
    assert cursor.interval > SHORTEST


def test_a_refused_token() -> None:
    """It goes on at the time of the last line, without the lines of that time that were read."""
    cursor = LogCursor()
    cursor.take([event(1, "a"), event(2, "b"), event(2, "c")], "t")
    cursor.restart()
    assert cursor.request() == {"startFromHead": True, "startTime": 2}
    again = [event(2, "b"), event(2, "c"), event(2, "d"), event(3, "e")]
    assert [each["message"] for each in cursor.take(again, "u")] == ["d", "e"]
    cursor.restart()
    assert cursor.request() == {"startFromHead": True, "startTime": 3}


@pytest.mark.parametrize("seed", range(30))
def test_no_line_is_lost_or_doubled(seed: int) -> None:
    """Any pages, with tokens that are refused at any moment and lines that come meanwhile."""
    rng = random.Random(seed)
    cursor, at = LogCursor(), 0
    stream: list[dict[str, Any]] = []
    found: list[Any] = []
    for number in range(300):
        for _ in range(rng.choice((0, 1, 3))):
            at += rng.choice((0, 0, 1))
            stream.append(event(at + 1, f"{number} {len(stream)}"))
        if rng.random() < 0.2:
            cursor.restart()
        found += page_of(stream, cursor, rng.randint(1, 5))
    while (page := page_of(stream, cursor, 10)) != [] or not cursor.at_end:
        found += page
    assert [each["message"] for each in found] == [each["message"] for each in stream]


def page_of(stream: list[dict[str, Any]], cursor: LogCursor, size: int) -> list[Any]:
    """Answer as CloudWatch Logs does."""
    asked = cursor.request()
    if "nextToken" in asked:
        begin = int(asked["nextToken"])
    else:
        begin = next(
            (n for n, each in enumerate(stream) if each["timestamp"] >= asked.get("startTime", 0)), len(stream)
        )
    page = stream[begin : begin + size]
    return cursor.take(page, str(begin + len(page)))
