"""Reads log streams for all who follow them: a client of CloudWatch Logs and two rate limits for each Region.

GetLogEvents is for streams that are read once, and for the first `MAX_READ_SINGLY` of a group that are followed.
FilterLogEvents reads the others of a group, a hundred by each request. An account has 10, 25 or 30 GetLogEvents a
second in a Region, and 5, 10 or 25 FilterLogEvents; a client stays within the least of them, 10 and 5, in any Region.
[AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html]
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aioecs._client.log_group import Event, FollowedStream, LogGroup
from aioecs._logic.sending.rate_limiter import FixedRate
from aioecs._logic.tasks.log_cursor import GRACE, LogCursor
from aioecs._logic.tasks.log_source import LogSource
from aioecs._logic.tasks.log_window import OVERLAP, LogWindow, time_of
from aioecs._logic.tasks.read_errors import is_permanent
from aioecs._model.log_line import LogLine
from aioecs._runtime.client_core import Core
from aioecs._runtime.shared_limiter import SharedLimiter
from aioecs.errors import AccessDeniedException, ClientStateError, ECSError, ECSServiceError

if TYPE_CHECKING:
    from aioecs._transport.botocore.log_events import LogPage

T = TypeVar("T")
TOKEN_REFUSED_CODE = "InvalidParameterException"  # noqa: S105 no secret: the error code where a page token has expired
GET_RATE = (2.0, 8.0)
"""Of GetLogEvents: requests at once, and a second. In any second these let 10 through."""
FILTER_RATE = (1.0, 4.0)
"""The same of FilterLogEvents: 5 in any second."""
MAX_READ_SINGLY = 10
"""Followed streams of a log group that are read one by one."""
CATCH_UP_AGE = 300_000
"""In milliseconds: a stream that may be older is first read to its end by itself, and only then with others."""
LATE_INTERVAL = 10
"""Between two searches of a stream for events that became readable late, in seconds, where it is read by itself."""
MAX_BACKOFF = 10.0
"""Between two tries of a read that failed, in seconds."""
MAX_FAILURES = 10
"""Reads that fail in a row before the follower receives the error."""

Connect = Callable[[str | None], Awaitable[Any]]
"""Returns the client of CloudWatch Logs for a Region; None is the client's own."""
Deliver = Callable[[LogLine], Awaitable[None]]
"""Receives each line."""


class LogPoller:
    """Reads the log streams that are followed, or read once."""

    def __init__(self, core: Core, connect: Connect, wall_clock: Callable[[], float] = time.time) -> None:
        self._core = core
        self._connect = connect
        self._wall_clock = wall_clock
        self._limiters: dict[tuple[str | None, tuple[float, float]], SharedLimiter] = {}
        self._groups: dict[tuple[str | None, str], LogGroup] = {}
        self._read_singly: Counter[tuple[str | None, str]] = Counter()
        self._denied: set[tuple[str | None, str]] = set()
        self.reads = 0
        """Requests that were sent."""

    async def follow(self, source: LogSource, deliver: Deliver, ended: asyncio.Event | None) -> None:
        """Deliver the lines of a stream as they come, until its task has ended and nothing comes any more.

        With `ended` None it reads what is there, and returns.

        Raises:
            ECSError: the stream can't be read; errors that may pass were retried first.
        """
        place = source.region, source.group
        group = self._groups.setdefault(place, LogGroup(partial(self._filtered, source), self._wall_clock))
        alone = self._read_singly[place] < MAX_READ_SINGLY or place in self._denied
        if ended is not None and source.prefix is not None and not alone:
            await self._follow_in_group(group, source, deliver, ended)
            return
        self._read_singly[place] += 1
        try:
            await self._follow_singly(source, deliver, ended)
        finally:
            self._read_singly[place] -= 1

    async def last(self, source: LogSource, count: int) -> list[LogLine]:
        """Return the last lines of a stream.

        Raises:
            ECSError: it can't be read.
        """
        page = await self._page(source, {"startFromHead": False, "limit": count})
        return [source.line(event) for event in page.events][-count:] if page is not None else []

    def close(self) -> None:
        """End what is followed."""
        for group in self._groups.values():
            group.close()

    # ------------------------------------------------------------------------------------------------------ one by one

    async def _follow_singly(self, source: LogSource, deliver: Deliver, ended: asyncio.Event | None) -> None:
        loop, over_at = self._core.loop, None if ended is not None else float("-inf")
        cursor, window = LogCursor(), LogWindow(overlap=OVERLAP + LATE_INTERVAL * 1000)
        late_at = loop.time() + LATE_INTERVAL
        while True:
            began = loop.time()
            if over_at is None and ended is not None and ended.is_set():
                over_at = began + GRACE
            window.note(await self._deliver_next(source, cursor, deliver) or ())
            if not cursor.at_end:
                continue
            over = over_at is not None and began >= over_at
            if ended is not None and (over or began >= late_at):
                await self._deliver_late(source, window, deliver, last=over)
                late_at = began + LATE_INTERVAL
            if over:
                return
            await self._sleep(cursor.interval if over_at is None else max(0.0, over_at - loop.time()), ended)

    async def _deliver_late(self, source: LogSource, window: LogWindow, deliver: Deliver, *, last: bool) -> None:
        """Deliver what became readable after later events: the tokens of GetLogEvents only go forward.

        Events that are not older than what was read are the next page's, unless there is none.
        """
        cursor, events = LogCursor(window.start), list[Event]()
        while not cursor.at_end:
            page = await self._with_retries(source, lambda: self._page(source, cursor.request()), cursor.restart)
            if page is None:
                return
            events += cursor.take(page.events, page.token)
        newest = window.newest
        for event in window.take(each for each in events if last or time_of(each) < newest):
            await deliver(source.line(event))

    async def _deliver_next(self, source: LogSource, cursor: LogCursor, deliver: Deliver) -> Sequence[Event] | None:
        """Deliver the lines of the next page; return its events, None if there is no such stream."""
        page = await self._with_retries(source, lambda: self._page(source, cursor.request()), cursor.restart)
        if page is None:
            cursor.missing()
            return None
        events = cursor.take(page.events, page.token)
        for event in events:
            await deliver(source.line(event))
        return events

    async def _page(self, source: LogSource, members: Mapping[str, Any]) -> LogPage | None:
        from aioecs._transport.botocore.log_events import read_log_events

        return await self._limited(
            source, GET_RATE, lambda client: read_log_events(client, source.group, source.stream, members)
        )

    # ------------------------------------------------------------------------------------------------------- in a group

    async def _follow_in_group(
        self, group: LogGroup, source: LogSource, deliver: Deliver, ended: asyncio.Event
    ) -> None:
        window = None
        if self._wall_clock() * 1000 - source.since > CATCH_UP_AGE:
            window = await self._catch_up(source, deliver)
        stream = group.add(source, ended, window)
        try:
            while (event := await stream.events.get()) is not None:
                await deliver(source.line(event))
        finally:
            group.remove(stream)
        if stream.error is None and (stream.exists or stream.delivered or window is not None):
            return
        await self._follow_singly(source, deliver, self._singly_until(stream, ended, window))

    def _singly_until(
        self, stream: FollowedStream, ended: asyncio.Event, window: LogWindow | None
    ) -> asyncio.Event | None:
        """Return what ends the reading of a stream by itself, after it was not found or not permitted in the group.

        None reads what there is, and no more.

        Raises:
            ECSError: it can't be read.
        """
        if stream.error is None:
            return None  # its task has ended
        if not isinstance(stream.error, AccessDeniedException) or stream.delivered or window is not None:
            raise stream.error
        text = "logs:FilterLogEvents is denied, so many streams are read one by one, and slower: %s"
        self._core.warn_once("log filter", text, stream.error, fields={"operation": "FilterLogEvents"})
        self._denied.add((stream.source.region, stream.source.group))
        return ended

    async def _catch_up(self, source: LogSource, deliver: Deliver) -> LogWindow | None:
        """Deliver what an older stream has; return what was delivered, None if there is no such stream."""
        cursor, window, exists = LogCursor(), LogWindow(source.since), False
        while not cursor.at_end:
            events = await self._deliver_next(source, cursor, deliver)
            exists = exists or events is not None
            window.note(events or ())
        return window if exists else None

    async def _filtered(self, source: LogSource, members: Mapping[str, Any]) -> Sequence[Event] | None:
        """Read all pages of a FilterLogEvents of a source's group; None if a stream does not exist."""
        events: list[Event] = []
        given = members
        while True:
            try:
                page = await self._with_retries(source, partial(self._filter_page, source, given))
            except ECSServiceError as error:
                if error.code != TOKEN_REFUSED_CODE or given is members:
                    raise
                events, given = [], members  # from the first page again: its token is refused
                continue
            if page is None:
                return None
            events += page.events
            if not page.token:
                return events
            given = {**members, "nextToken": page.token}

    async def _filter_page(self, source: LogSource, members: Mapping[str, Any]) -> LogPage | None:
        from aioecs._transport.botocore.log_events import filter_log_events

        return await self._limited(source, FILTER_RATE, lambda client: filter_log_events(client, source.group, members))

    # ------------------------------------------------------------------------------------------------------- requests

    async def _with_retries(
        self, source: LogSource, read: Callable[[], Awaitable[T]], restart: Callable[[], bool] | None = None
    ) -> T:
        """Read, and retry errors that may pass. Where a page's token is refused, `restart` begins anew, if it can."""
        failures = 0
        while True:
            try:
                return await read()
            except ECSError as error:
                if isinstance(error, ECSServiceError) and error.code == TOKEN_REFUSED_CODE and restart and restart():
                    continue
                failures += 1
                await self._back_off(source, error, failures)

    async def _back_off(self, source: LogSource, error: ECSError, failures: int) -> None:
        """Wait before the next try, or raise what another try would meet again."""
        throttled = isinstance(error, ECSServiceError) and error.throttled
        permanent = isinstance(error, ClientStateError) or is_permanent(error)
        if not throttled and (permanent or failures >= MAX_FAILURES):
            raise error
        if not throttled:
            text = "the log stream %s can't be read, and is tried again, as others are: %s"
            fields = {"operation": "GetLogEvents", "error": type(error).__name__}
            self._core.warn_once(f"log {type(error).__name__}", text, source.stream, error, fields=fields)
        await asyncio.sleep(min(MAX_BACKOFF, 0.5 * 2.0 ** min(failures, 8)) * (1 + self._core.jitter()) / 2)

    async def _limited(self, source: LogSource, rate: tuple[float, float], request: Callable[[Any], Awaitable[T]]) -> T:
        """Make a request when it has its permit."""
        client = await self._connect(source.region)
        limiter = self._limiters.setdefault((source.region, rate), SharedLimiter(FixedRate(*rate)))
        permit = await limiter.acquire(of=source)
        throttled = False
        try:
            self.reads += 1
            return await request(client)
        except ECSServiceError as error:
            throttled = error.throttled
            raise
        finally:
            limiter.answered(permit, throttled)

    async def _sleep(self, seconds: float, ended: asyncio.Event | None) -> None:
        """Wait for the next read, not beyond the end of the task."""
        if ended is None or ended.is_set():
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            return
