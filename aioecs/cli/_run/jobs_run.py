"""Runs `aioecs run --jobs`: a task for each job, and each result as a line of JSON as soon as it is there."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import anyio
from rich.console import Group
from rich.text import Text

from aioecs import CancelToken, Client, ECSError, Event, Outcome, Run, StartCancelled
from aioecs.cli import _lookup
from aioecs.cli._display.progress import ECHO, duration
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.status import INTERRUPTED, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._display.text_lines import wrapped
from aioecs.cli._options import UsageError
from aioecs.cli._run import local_tasks, messages
from aioecs.cli._run.exit_status import NOT_STARTED, TIMED_OUT, UNKNOWN, UNWRITTEN, status_of
from aioecs.cli._run.options import RunOptions
from aioecs.cli._run.requests import RunRequest, make_requests, placement_options
from aioecs.cli._signals import interrupts
from aioecs.cli._start.requests import key_of
from aioecs.types import CallBegun, CallSettled, StartSettled


class JobsRun:
    """One run of many jobs: their options, and how far they have come."""

    def __init__(
        self,
        options: RunOptions,
        streams: Streams,
        *,
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._options = options
        self._streams = streams
        self._clock = clock
        self._end = end
        self._token = CancelToken()
        self._began = clock()
        self._names: dict[int, str] = {}
        self._ended: Counter[bool | None] = Counter()
        self._any_started = False
        self._open_calls: dict[int, str] = {}
        """The tokens of calls that have not settled, by their number."""
        self._unknown: Counter[str] = Counter()
        """The tokens of starts that are unknown and have not been reported yet."""
        self._running: dict[str, None] = {}
        """The ARNs of tasks that were started and have not been reported yet."""
        self._summary_written = False

    async def go(self) -> int:
        """Run the jobs, write each result, and return the exit status.

        The first SIGINT, SIGTERM or SIGHUP stops what was started; the second ends the process.
        """
        self._streams.on_broken = lambda: self._token.cancel(self._streams.broken_by)
        with self._streams.logging(), interrupts(self._token, self._end_at_once):
            try:
                with self._progress():
                    await self._run()
            except StartCancelled:
                pass  # each run has been reported
            except (ECSError, UsageError) as error:
                self._streams.print_error(text_of(error) if isinstance(error, ECSError) else str(error))
                return NOT_STARTED
            status = self._status()
            self._write_summary(status)
            await self._streams.drained(unless=lambda: self._token.cancelled)
            self._streams.finish()
            return UNWRITTEN if self._streams.status(0) else status

    async def _run(self) -> None:
        options = self._options
        settings = local_tasks.settings(fargate=options.fargate) if options.task.local else {}
        with anyio.CancelScope() as lookups:

            def stop(_: str | None) -> None:
                lookups.cancel()

            self._token.add_callback(stop)
            async with (
                _lookup.endpoint(options.task, **settings) as where,
                Client(**where, on_event=self._on_event, on_cancel=options.task.on_cancel.value) as client,
            ):
                named = await make_requests(client, options)
                self._token.remove_callback(stop)  # from here on the client watches the token itself
                self._names = {id(request): name for name, request in named}
                await client.run_all(
                    [request for _, request in named],
                    self._token,
                    timeout=options.timeout,
                    container=options.task.container,
                    log_lines=0,
                    max_running=options.max_running,
                    on_run=self._add,
                    idempotency_key=self._key if options.task.idempotency_key is not None else None,
                    **placement_options(options),
                )

    def _key(self, request: RunRequest) -> str:
        return key_of(self._options.task, self._names[id(request)])

    def _on_event(self, event: Event) -> None:
        if isinstance(event, CallBegun):
            self._open_calls[event.call] = event.token
        elif isinstance(event, CallSettled) and event.call in self._open_calls:
            # Its callers report the outcomes some steps of the loop later.
            token = self._open_calls.pop(event.call)
            self._running.update(dict.fromkeys(event.task_arns))
            self._unknown[token] += event.outcomes.count(Outcome.UNKNOWN)
        elif isinstance(event, StartSettled) and event.outcome is Outcome.STARTED and event.task_arn is not None:
            self._any_started = True
            self._running[event.task_arn] = None

    # ----------------------------------------------------------------------------------------------------- reporting

    def _add(self, run: Run) -> None:
        """Write the result of a job."""
        job = self._names[id(run.request)]
        self._ended[run.succeeded] += 1
        arn = next((start.task.arn for start in run.starts if start.task is not None), None)
        if (arn or "") in self._running:
            del self._running[arn or ""]
        else:
            self._unknown.subtract(start.token for start in run.starts if start.outcome is Outcome.UNKNOWN)
        if run.result is not None:
            timed_out = self._timed_out(run)
            status = TIMED_OUT if timed_out else status_of(run.result)
            self._streams.write(messages.result_json(run.result, status, job=job, timed_out=timed_out))
        elif run.error is not None:
            token = next((start.token for start in run.starts if start.token), "")
            outcome = run.starts[0].outcome if run.starts else None
            self._streams.write(
                messages.failure_json(run.error, self._status_of_error(run), arn, token, outcome, job=job)
            )

    def _timed_out(self, run: Run) -> bool:
        """Whether aioecs stopped the task because it took too long, which the reason of the stop says."""
        reason = f"aioecs: it had not ended after {self._options.timeout or 0:g} s"
        return run.result is not None and run.result.task.stopped_reason == reason

    def _status_of_error(self, run: Run) -> int:
        if isinstance(run.error, StartCancelled):
            return INTERRUPTED
        return UNKNOWN if run.succeeded is None else NOT_STARTED

    @property
    def _total(self) -> int:
        return len(self._options.task.jobs or ())

    def _status(self) -> int:
        if self._streams.status(0):
            return UNWRITTEN  # for which the jobs were cancelled
        if self._token.cancelled:
            return INTERRUPTED
        if self._ended[True] == self._total:
            return 0
        return PARTLY if self._any_started or self._ended[None] else NOT_STARTED

    def _write_summary(self, status: int) -> None:
        if self._summary_written:
            return
        self._summary_written = True
        summary: dict[str, Any] = {
            "asked": self._total,
            "succeeded": self._ended[True],
            "failed": self._ended[False],
            "unknown": self._ended[None],
            "not_ended": self._total - self._ended.total(),
            "seconds": round(self._clock() - self._began, 3),
            "interrupted": (self._token.reason or "") if self._token.cancelled else None,
            "exit_status": status,
        }
        self._streams.write(json.dumps({"summary": summary}))

    def _progress(self) -> AbstractContextManager[None]:
        if self._streams.shows_progress(as_json=True):
            return self._streams.live_display(lambda columns: Group(*wrapped(self._line(), columns - ECHO)))
        return self._streams.periodic_progress(self._line)

    def _line(self) -> Text:
        others = [(self._ended[False], "failed"), (self._ended[None], "unknown"), (len(self._running), "running")]
        more = "".join(f", {count:,} {label}" for count, label in others if count)
        what = self._streams.settling or "stopping what runs"
        state = f"interrupted: {what}; Ctrl-C again ends at once; " if self._token.cancelled else ""
        took = duration(self._clock() - self._began)
        return Text(f"{state}{self._ended[True]:,} of {self._total:,} succeeded{more}, {took}")

    def _end_at_once(self) -> None:
        """Write what may run: each task by its ARN, and each start without an outcome by the token of its call."""
        self._streams.stop_live_display()
        for arn in self._running:
            self._streams.write(messages.unfinished_json(arn))
        for token in dict.fromkeys([*self._open_calls.values(), *(+self._unknown)]):
            self._streams.write(messages.unfinished_json(None, token))
        self._write_summary(INTERRUPTED)
        self._streams.finish()
        self._end(INTERRUPTED)
