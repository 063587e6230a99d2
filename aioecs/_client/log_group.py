"""Reads the many streams of one log group that are followed at the same time, a hundred by each request.

A stream is read by name once it is known to exist: FilterLogEvents refuses a request that names one that does not. New
ones are found by their common prefix. [AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html]
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from aioecs._logic.tasks.log_cursor import GRACE
from aioecs._logic.tasks.log_source import LogSource
from aioecs._logic.tasks.log_window import LogWindow
from aioecs._runtime.background_tasks import later_task
from aioecs.errors import ClientStateError, ECSError

NAMED = 100
"""Streams of one request. [API_FilterLogEvents.html]"""
INTERVAL = 1.0
"""From the beginning of one pass over the streams to the next at the soonest, in seconds."""
AHEAD = 10_000
"""Events of a stream that wait for its follower; it is read on when they are fewer."""
UNSEEN = 120_000
"""In milliseconds: how long after its time the first event of a stream may become readable."""

Event = Mapping[str, Any]
ReadEvents = Callable[[Mapping[str, Any]], Awaitable["Sequence[Event] | None"]]
"""Makes a FilterLogEvents with these members, to its last page; returns None if a stream does not exist."""


@attrs.define(eq=False)
class FollowedStream:
    """One stream that is followed: what was read of it, and what waits for its follower."""

    source: LogSource
    ended: asyncio.Event
    window: LogWindow
    exists: bool
    search_from: int
    """Where to begin to search for its first event, in milliseconds since the epoch."""
    events: asyncio.Queue[Event | None] = attrs.field(factory=asyncio.Queue["Event | None"])
    """What the follower is to take next; None last."""
    over_at: float | None = None
    read_at: float = float("-inf")
    """When the last read of it began, on the loop's clock."""
    error: ECSError | None = None
    delivered: bool = False

    def deliver(self, events: Iterable[Event], began: float) -> None:
        """Take a complete read of its window."""
        self.read_at = began
        for event in self.window.take(events):
            self.delivered = True
            self.events.put_nowait(event)

    def end(self, error: ECSError | None = None) -> None:
        """Let the follower come to its end, after what waits for it."""
        self.error = error
        self.events.put_nowait(None)


class LogGroup:
    """The streams of a log group that are read together; several may follow the same one."""

    def __init__(self, read: ReadEvents, wall_clock: Callable[[], float]) -> None:
        """Take what makes the requests, and the clock of the events, in seconds since the epoch."""
        self._read = read
        self._wall_clock = wall_clock
        self._streams: dict[FollowedStream, None] = {}
        self._reading: asyncio.Task[None] | None = None

    def add(self, source: LogSource, ended: asyncio.Event, window: LogWindow | None) -> FollowedStream:
        """Follow a stream until its task has ended, and it was read `GRACE` seconds after that.

        `window` has what of it was delivered before; None is for a stream that may not exist yet.
        """
        exists, given = window is not None, window or LogWindow(source.since)
        stream = FollowedStream(source, ended, given, exists, source.since)
        self._streams[stream] = None
        if self._reading is None:
            self._reading = later_task(self._run(), "aioecs log group")
        return stream

    def remove(self, stream: FollowedStream) -> None:
        """Follow it no more; the last one ends the reading."""
        self._streams.pop(stream, None)
        if not self._streams:
            self._end()

    def close(self) -> None:
        """Read no more, and end what is followed."""
        self._fail(list(self._streams), ClientStateError("the client was closed while the log was followed"))
        self._end()

    def _end(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()

    async def _run(self) -> None:
        try:
            await self._read_all()
        finally:
            if self._reading is asyncio.current_task():
                self._reading = None
                self._fail(list(self._streams), ClientStateError("the reading of logs ended with an error"))

    async def _read_all(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._streams:
            began = clock()
            for stream in self._streams:
                if stream.over_at is None and stream.ended.is_set():
                    stream.over_at = began + GRACE
            await self._search()
            await self._read_known()
            for stream in list(self._streams):
                if stream.over_at is not None and stream.read_at >= stream.over_at:
                    del self._streams[stream]
                    stream.end()
            await asyncio.sleep(max(0.0, began + INTERVAL - clock()))

    async def _search(self) -> None:
        """Find the streams that were written to by now."""
        missing = [stream for stream in self._streams if not stream.exists]
        for prefix in dict.fromkeys(stream.source.prefix for stream in missing):
            await self._find(prefix, [stream for stream in missing if stream.source.prefix == prefix])

    async def _read_known(self) -> None:
        """Read each stream that exists once."""
        found = [each for each in self._streams if each.exists and each.events.qsize() < AHEAD]
        found.sort(key=lambda stream: stream.window.start)  # those of one request begin at the time of the first
        for at in range(0, len(found), NAMED):
            await self._read_named(found[at : at + NAMED])

    async def _find(self, prefix: str | None, streams: Sequence[FollowedStream]) -> None:
        began, wall = asyncio.get_running_loop().time(), round(self._wall_clock() * 1000)
        start = min(stream.search_from for stream in streams)
        try:
            events = await self._read({"logStreamNamePrefix": prefix, "startTime": start})
        except ECSError as error:
            self._fail(streams, error)
            return
        written = {event.get("logStreamName") for event in events or ()}
        for stream in streams:
            stream.exists = stream.source.stream in written
            stream.read_at, stream.search_from = began, max(stream.search_from, wall - UNSEEN)

    async def _read_named(self, streams: Sequence[FollowedStream]) -> None:
        """Read streams to the end of what they have by now; those that are gone are searched for again."""
        began = asyncio.get_running_loop().time()
        names = list(dict.fromkeys(stream.source.stream for stream in streams))
        try:
            events = await self._read({"logStreamNames": names, "startTime": streams[0].window.start})
        except ECSError as error:
            self._fail(streams, error)
            return
        if events is not None:
            _distribute(events, streams, began)
        elif len(streams) == 1:
            streams[0].exists, streams[0].read_at = False, began
        else:
            await self._read_named(streams[: len(streams) // 2])
            await self._read_named(streams[len(streams) // 2 :])

    def _fail(self, streams: Iterable[FollowedStream], error: ECSError) -> None:
        for stream in streams:
            if stream in self._streams:
                del self._streams[stream]
                stream.end(error)


def _distribute(events: Iterable[Event], streams: Sequence[FollowedStream], began: float) -> None:
    """Give each stream its events; an event that two pages show counts once."""
    by_name: dict[str, dict[Any, Event]] = {stream.source.stream: {} for stream in streams}
    for number, event in enumerate(events):
        own = by_name.get(str(event.get("logStreamName")))
        if own is not None:
            own[event.get("eventId", number)] = event
    for stream in streams:
        stream.deliver(by_name[stream.source.stream].values(), began)
