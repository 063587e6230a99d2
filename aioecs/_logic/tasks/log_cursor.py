"""The read position in a log stream: no line is returned twice, and none is left out.

GetLogEvents returns a token for the next page. At the end of the stream the token is the one that was sent; a page may
be empty before the end. A token lasts 24 hours. A refused one is replaced by the time of the last line: lines of that
millisecond are returned again then, and as many as were read of them are skipped.
[AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHORTEST = 1.0
"""Between two reads of a stream with new lines, in seconds."""
LONGEST = 10.0
"""Between two reads of a stream without new lines, in seconds."""
GROWTH = 1.5
"""The factor by which the time between two reads grows while there are no new lines."""
GRACE = 5.0
"""How long after the end of its task a stream may still get lines, in seconds: log drivers send in batches."""


class LogCursor:
    """The position in one log stream."""

    def __init__(self, since: int = 0) -> None:
        """Begin at a time, in milliseconds since the epoch; 0 is the beginning of the stream."""
        self.at_end = False
        """Whether the last page was the end of the stream at that time."""
        self.interval = SHORTEST
        """How long to wait before the next read, in seconds, once it is at the end."""
        self._token: str | None = None
        self._last_time = since
        """The time of the last line that was returned."""
        self._of_last_time = 0
        """How many lines of that time were returned."""
        self._to_skip = 0
        """How many lines of that time are still skipped, after a restart."""

    def request(self) -> dict[str, Any]:
        """Return the position members of the next GetLogEvents request."""
        if self._token is not None:
            return {"startFromHead": True, "nextToken": self._token}
        if self._last_time:
            return {"startFromHead": True, "startTime": self._last_time}
        return {"startFromHead": True}

    def take(self, events: Sequence[Mapping[str, Any]], token: str | None) -> list[Mapping[str, Any]]:
        """Take a page; return its events that were not returned before."""
        self.at_end = token is None or token == self._token
        self._token = token or self._token
        fresh = [each for each in events if not self._returned_before(each)]
        for each in fresh:
            self._count(_time(each))
        self.interval = SHORTEST if fresh else min(LONGEST, self.interval * GROWTH)
        return fresh

    def missing(self) -> None:
        """Note that the stream doesn't exist, or not yet."""
        self.at_end = True
        self.interval = min(LONGEST, self.interval * GROWTH)

    def restart(self) -> bool:
        """Continue from the time of the last line, after the token was refused; False if there was no token."""
        had_token, self._token = self._token is not None, None
        if had_token:
            self._to_skip = self._of_last_time
        return had_token

    def _returned_before(self, event: Mapping[str, Any]) -> bool:
        if self._to_skip and _time(event) == self._last_time:
            self._to_skip -= 1
            return True
        return False

    def _count(self, time: int) -> None:
        if time > self._last_time:
            self._last_time, self._of_last_time = time, 0
        if time == self._last_time:
            self._of_last_time += 1


def _time(event: Mapping[str, Any]) -> int:
    value = event.get("timestamp")
    return value if isinstance(value, int) else 0
