"""Runs `aioecs start`: looks up what is missing, starts, counts, and reports every start however it ends."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import anyio

from aioecs import (
    Batch,
    CancelToken,
    Client,
    ECSError,
    Outcome,
    StartResult,
    StartTaskRequest,
    Statistics,
    Task,
    WaitError,
)
from aioecs.cli import _lookup
from aioecs.cli._cluster.task_wait import show_ended
from aioecs.cli._display.json_lines import start_json, summary_json
from aioecs.cli._display.output import BACKLOG
from aioecs.cli._display.progress import progress, progress_line
from aioecs.cli._display.report import Report
from aioecs.cli._display.start_counts import StartCounts, exit_status, is_final, text_of
from aioecs.cli._display.status import CANNOT, DONE, INTERRUPTED, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._display.summary import summary
from aioecs.cli._options import UsageError
from aioecs.cli._signals import interrupts
from aioecs.cli._start.options import StartOptions
from aioecs.cli._start.requests import RequestNames, drawn_requests, key_of, open_definitions


class Run:
    """One run of `aioecs start`: its options and its progress."""

    def __init__(
        self,
        options: StartOptions,
        streams: Streams,
        *,
        as_json: bool = False,
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._options = options
        self._streams = streams
        self._as_json = as_json
        self._clock = clock
        self._end = end
        self._counts = StartCounts(options.total)
        self._names = RequestNames()
        self._token = CancelToken()
        self._instances = set(options.instances)
        self._statistics: Callable[[], Statistics] = Statistics
        self._open_starts: Callable[[], Sequence[StartResult]] = tuple
        self._running: list[Task] = []
        self._any_task_failed = False
        self._began: float | None = None
        self._ended: float | None = None
        self._summary_printed = False

    async def go(self) -> int:
        """Start the tasks, report each outcome, and return the exit status.

        The first SIGINT, SIGTERM or SIGHUP cancels and waits for the calls in flight; the second ends the process.
        """
        self._streams.on_broken = lambda: self._token.cancel(self._streams.broken_by)
        with self._streams.logging(), interrupts(self._token, self._end_at_once):
            try:
                with self._progress():
                    await self._fan_out()
            except (ECSError, UsageError) as error:
                status = self._failed(error)
            except Exception:
                self._print_summary()  # a defect of aioecs; what was started is reported all the same
                raise
            else:
                status = self._print_finished()
            return await self._written(status)

    async def _fan_out(self) -> None:
        with anyio.CancelScope() as lookups:

            def stop(_: str | None) -> None:
                if self._nothing_started():
                    lookups.cancel()

            self._token.add_callback(stop)
            async with _lookup.endpoint(self._options) as where, self._client(where) as client:
                definitions = open_definitions(self._options)
                containers = {each: await _lookup.find_container(client, each) for each in definitions}
                await _lookup.check_spread_attribute(client, self._options)
                named = self._options.names_instances
                instances = await _lookup.find_instances(client, self._options) if named else ()
                self._instances.update(instances)
                if not self._options.uses_placement:
                    self._token.remove_callback(stop)  # from here on the batch watches the token itself
                await self._start(client, drawn_requests(self._options, instances, containers, self._names))
                if self._options.wait and not self._token.cancelled:
                    await self._wait(client)

    def _client(self, where: dict[str, Any]) -> Client:
        return Client(**where, max_in_flight=self._options.concurrency, on_cancel=self._options.on_cancel.value)

    def _nothing_started(self) -> bool:
        """Whether it still looks something up. A placement's own first lookups don't watch the token."""
        statistics = self._statistics()
        return statistics.requested == statistics.calls == 0

    async def _start(self, client: Client, requests: StartTaskRequest | Iterable[StartTaskRequest]) -> None:
        self._began = self._clock()
        key_of = self._key if self._options.idempotency_key is not None else None
        async with client.batch(idempotency_key=key_of) as batch:
            self._statistics = batch.statistics
            self._open_starts = batch.open_starts
            async for start in self._starts(batch, requests):
                self._add(start)
                if self._streams.backlog > BACKLOG:
                    await self._streams.drained(BACKLOG, lambda: self._token.cancelled)
        self._ended = self._clock()

    async def _wait(self, client: Client) -> None:
        """Report what started, wait until all of it has stopped, and show how each task ended."""
        self._streams.stop_live_display()
        self._print_summary()
        try:
            ended = await client.wait_until_stopped(self._running, self._token, timeout=self._options.timeout)
        except WaitError as error:
            self._any_task_failed = True
            self._streams.print_error(text_of(error))
            return
        status = await show_ended(client, ended, self._options.container, self._streams, as_json=self._as_json)
        self._any_task_failed = status != DONE

    def _add(self, start: StartResult) -> None:
        self._counts.add(start)
        if self._options.wait and start.outcome is Outcome.STARTED and start.task is not None:
            self._running.append(start.task)
        if start.container_instance:
            self._instances.add(start.container_instance)
        name = self._names.take(start.request)
        if self._as_json:
            self._streams.write(start_json(start, name if self._options.jobs is not None else None))

    def _key(self, request: StartTaskRequest) -> str:
        return key_of(self._options, self._names.name_of(request))

    def _starts(
        self, batch: Batch, requests: StartTaskRequest | Iterable[StartTaskRequest]
    ) -> AsyncGenerator[StartResult]:
        options = self._options
        wait_for_capacity = options.wait_for_capacity or 0.0
        if not options.uses_placement and not isinstance(requests, StartTaskRequest):
            return batch.start_tasks(requests, cancel_scope=self._token, wait_for_capacity=wait_for_capacity)
        return batch.place_tasks(
            requests,
            cancel_scope=self._token,
            count=options.count if isinstance(requests, StartTaskRequest) else 1,
            placement=options.placement,
            constraints=options.constraints,
            wait_for_capacity=wait_for_capacity,
        )

    # ------------------------------------------------------------------------------------------------------- reporting

    def _progress(self) -> AbstractContextManager[None]:
        if not self._streams.shows_progress(as_json=self._as_json):
            return self._streams.periodic_progress(lambda: progress_line(self.report()))
        return self._streams.live_display(lambda columns: progress(self.report(), columns))

    def report(self) -> Report:
        """Return the progress so far."""
        statistics = self._statistics()
        return Report(
            counts=self._counts,
            cluster=self._options.cluster or "",
            task_definition=self._options.task_definition or "",
            container_instances=len(self._instances),
            local=self._options.local,
            access=self._options.access.arguments,
            calls=statistics.calls,
            throttled=statistics.throttled,
            rate=statistics.rate,
            waiting=statistics.waiting_for_capacity,
            seconds=self._seconds(),
            interrupted=(self._token.reason or "") if self._token.cancelled else None,
            settling=self._streams.settling,
        )

    def _seconds(self) -> float:
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    def _print_summary(self) -> None:
        if self._summary_printed:
            return
        self._summary_printed = True
        self._close()
        report = self.report()
        if self._as_json:
            self._streams.write(summary_json(report))
        else:
            self._streams.say(*summary(report))

    def _close(self) -> None:
        self._counts.close(self._statistics().requested)

    def _print_finished(self) -> int:
        self._close()
        status = exit_status(self._counts, interrupted=self._token.cancelled)
        cause = self._counts.blocking_error if status == CANNOT else None
        if cause is None or self._as_json:
            self._print_summary()
        if cause is not None:
            self._streams.print_error(f"nothing was started: {text_of(cause)}")
        return PARTLY if status == DONE and self._any_task_failed else status

    def _failed(self, error: ECSError | UsageError) -> int:
        begun = self._statistics().requested > 0
        if begun:
            self._print_summary()
        self._streams.print_error(text_of(error) if isinstance(error, ECSError) else str(error))
        if self._token.cancelled:
            return INTERRUPTED
        return PARTLY if begun or not is_final(error) else CANNOT

    async def _written(self, status: int) -> int:
        """Wait until stdout has taken everything, or a signal comes, and return the exit status."""
        await self._streams.drained(unless=lambda: self._token.cancelled)
        self._streams.finish()
        return self._streams.status(status)

    def _end_at_once(self) -> None:
        """Report what is known, also of the starts in flight: each that was sent has its token."""
        self._streams.stop_live_display()
        if not self._summary_printed:
            for start in self._open_starts():
                self._add(start)
        self._print_summary()
        self._streams.finish()
        self._end(INTERRUPTED)
