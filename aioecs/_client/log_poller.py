"""Reads log streams for all who follow them: one client of CloudWatch Logs and one rate limit for each Region.

GetLogEvents lets 25 requests a second through, for an account and Region. Whoever follows takes turns, so a thousand
streams are each read as often as that allows. [AmazonCloudWatchLogs/latest/logs/cloudwatch_limits_cwl.html]
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aioecs._logic.sending.rate_limiter import FixedRate
from aioecs._logic.tasks.log_cursor import GRACE, LogCursor
from aioecs._logic.tasks.log_source import LogSource
from aioecs._model.log_line import LogLine
from aioecs._runtime.client_core import Core
from aioecs._runtime.shared_limiter import SharedLimiter
from aioecs.errors import ConfigurationError, ECSError, ECSServiceError

if TYPE_CHECKING:
    from aioecs._transport.botocore.log_events import LogPage

REFUSED_TOKEN = "InvalidParameterException"  # noqa: S105 no secret: what an expired page token is answered with
BURST, RATE = 5.0, 20.0
"""Requests at once, and a second: a fifth is left to other programs."""
LONGEST_PAUSE = 10.0
"""Between two tries of a read that failed, in seconds."""
PATIENCE = 10
"""Reads that fail in a row before the follower gets the error."""

Connect = Callable[[str | None], Awaitable[Any]]
"""Returns the client of CloudWatch Logs for a Region; None is the client's own."""
Hand = Callable[[LogLine], Awaitable[None]]


class LogPoller:
    """What reads the log streams that are followed, or asked for once."""

    def __init__(self, core: Core, connect: Connect) -> None:
        self._core = core
        self._connect = connect
        self._limiters: dict[str | None, SharedLimiter] = {}
        self.reads = 0
        """Requests that were sent."""

    async def follow(self, source: LogSource, hand: Hand, ended: asyncio.Event | None) -> None:
        """Hand over the lines of a stream as they come, until its task has ended and nothing comes any more.

        With `ended` None it reads what is there, and returns.

        Raises:
            ECSError: the stream can't be read; what passes was tried again.
        """
        cursor, loop, over_at = LogCursor(), self._core.loop, None if ended is not None else float("-inf")
        while True:
            began = loop.time()
            if over_at is None and ended is not None and ended.is_set():
                over_at = began + GRACE
            await self._read(source, cursor, hand)
            if not cursor.at_end:
                continue
            if over_at is not None and began >= over_at:
                return
            await self._pause(cursor.interval if over_at is None else max(0.0, over_at - loop.time()), ended)

    async def last(self, source: LogSource, count: int) -> list[LogLine]:
        """Return the last lines of a stream.

        Raises:
            ECSError: it can't be read.
        """
        page = await self._page(source, {"startFromHead": False, "limit": count})
        return [source.line(event) for event in page.events][-count:] if page is not None else []

    async def _read(self, source: LogSource, cursor: LogCursor, hand: Hand) -> None:
        """Read the next page, trying again what passes."""
        failures = 0
        while True:
            try:
                page = await self._page(source, cursor.request())
            except ECSError as error:
                if isinstance(error, ECSServiceError) and error.code == REFUSED_TOKEN and cursor.restart():
                    continue
                failures += 1
                await self._failed(source, error, failures)
                continue
            break
        if page is None:
            cursor.missing()
            return
        for event in cursor.take(page.events, page.token):
            await hand(source.line(event))

    async def _failed(self, source: LogSource, error: ECSError, failures: int) -> None:
        """Rest before the next try, or raise what another try would meet again."""
        throttled = isinstance(error, ECSServiceError) and error.throttled
        stays = isinstance(error, ConfigurationError) or (isinstance(error, ECSServiceError) and error.rejected)
        if not throttled and (stays or failures >= PATIENCE):
            raise error
        if not throttled:
            text = "the log stream %s can't be read, and is tried again, as others are: %s"
            self._core.warn_once(f"log {type(error).__name__}", text, source.stream, error)
        await asyncio.sleep(min(LONGEST_PAUSE, 0.5 * 2.0**failures) * (1 + self._core.jitter()) / 2)

    async def _page(self, source: LogSource, members: Mapping[str, Any]) -> LogPage | None:
        """Read one page when it has a permit."""
        from aioecs._transport.botocore.log_events import read_log_events

        client = await self._connect(source.region)
        limiter = self._limiter(source.region)
        permit = await limiter.acquire(of=source)
        throttled = False
        try:
            self.reads += 1
            return await read_log_events(client, source.group, source.stream, members)
        except ECSServiceError as error:
            throttled = error.throttled
            raise
        finally:
            limiter.answered(permit, throttled)

    def _limiter(self, region: str | None) -> SharedLimiter:
        if region not in self._limiters:
            self._limiters[region] = SharedLimiter(FixedRate(BURST, RATE))
        return self._limiters[region]

    async def _pause(self, seconds: float, ended: asyncio.Event | None) -> None:
        """Wait for the next read, not beyond the end of the task."""
        if ended is None or ended.is_set():
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            return
