"""Runs `aioecs run` for one task: starts it, shows its log, and ends with its exit status."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

import anyio
import attrs
from rich.console import Group
from rich.text import Text

from aioecs import (
    CallCancelled,
    CancelToken,
    Client,
    ECSError,
    Event,
    Outcome,
    StartResult,
    StopTaskRequest,
    TaskResult,
    WaitTimeout,
)
from aioecs._model.arn import short
from aioecs.cli import _lookup
from aioecs.cli._display.log_lines import LogFormat, log_json
from aioecs.cli._display.progress import ECHO, duration
from aioecs.cli._display.status import INTERRUPTED
from aioecs.cli._display.streams import Streams
from aioecs.cli._display.text_lines import one_line, wrapped
from aioecs.cli._logs.log_printer import LogPrinter, container_names, no_log
from aioecs.cli._options import UsageError
from aioecs.cli._run import local_tasks, messages
from aioecs.cli._run.exit_status import NOT_STARTED, TIMED_OUT, UNKNOWN, UNWRITTEN, status_of
from aioecs.cli._run.options import RunOptions
from aioecs.cli._run.requests import make_requests, placement_options
from aioecs.cli._signals import interrupts
from aioecs.types import CallBegun, DescribeTasksRequest, LogLine, StartSettled

STOPPING = 150.0
"""How long a task that was stopped after its time may take to stop, in seconds; ECS lets a container have 120."""


@attrs.frozen
class _Ended:
    """How a task ended, and when this was known."""

    result: TaskResult
    timed_out: bool
    at: float


class TaskRun:
    """One task of `aioecs run`: its options, and how far it has come."""

    def __init__(
        self,
        options: RunOptions,
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
        self._token = CancelToken()
        self._began = clock()
        self._ended: _Ended | None = None
        self._reported = False
        """Whether it has been shown how the task ended."""
        self._stop_accepted = False
        self._late: StartResult | None = None
        """Whether ECS has taken the stop of a task whose time was over."""
        self._call_token = ""
        self._arn: str | None = None
        self._status = "starting"
        self._started = asyncio.Event()

    async def go(self) -> int:
        """Run the task and return the exit status.

        The first SIGINT, SIGTERM or SIGHUP stops the task; the second ends the process.
        """
        with self._streams.logging(), interrupts(self._token, self._end_at_once):
            try:
                status = await self._run()
            except (ECSError, UsageError) as error:
                status = self._failed(error)
            await self._streams.drained(unless=lambda: self._token.cancelled)
            self._streams.finish()
            return UNWRITTEN if not status and self._streams.status(status) else status

    async def _run(self) -> int:
        options = self._options.task
        settings = local_tasks.settings(fargate=self._options.fargate) if options.local else {}
        with anyio.CancelScope() as lookups:

            def stop(_: str | None) -> None:
                lookups.cancel()

            self._token.add_callback(stop)
            async with (
                _lookup.endpoint(options, **settings) as where,
                Client(
                    **where,
                    on_event=self._on_event,
                    on_settled=self._on_settled,
                    on_cancel=options.on_cancel.value,
                ) as client,
            ):
                [(_, request)] = await make_requests(client, self._options)
                self._token.remove_callback(stop)  # from here on the client watches the token itself
                self._token.add_callback(self._say_interrupted)
                async with self._shown(client):
                    result, timed_out = await self._result(client, request)
                    ended = self._ended = _Ended(result, timed_out, self._clock())
                await self._show_tail(client, result)
                return self._report(ended)
        self._note(Text("Interrupted: nothing was started", "bold yellow"))
        return INTERRUPTED

    async def _result(self, client: Client, request: Any) -> tuple[TaskResult, bool]:
        """Return how the task ended, and whether it was stopped because it took too long."""
        options = self._options
        try:
            result = await client.run(
                request,
                self._token,
                timeout=options.timeout,
                on_timeout="keep",  # it is stopped below, where that can be said at once
                container=options.task.container,
                log_lines=0,
                idempotency_key=options.task.idempotency_key,
                **placement_options(options),
            )
        except WaitTimeout as timeout:
            return await self._stopped(client, timeout), True
        return result, False

    async def _stopped(self, client: Client, timeout: WaitTimeout) -> TaskResult:
        """Stop the task that has not ended in time, and return how it ended then."""
        [task] = [start.task for start in timeout.starts if start.task is not None]
        after = f"had not ended after {self._options.timeout:g} s"
        self._note(Text(f"task {messages.beginning(task.arn)} {after}: stopping it", "bold yellow"))
        cluster = self._options.task.cluster
        await client.stop_task(StopTaskRequest(cluster=cluster, task=task.arn, reason=f"aioecs run: it {after}"))
        self._stop_accepted = True
        try:
            [task] = await client.wait_until_stopped([task], self._token, timeout=STOPPING, cluster=cluster)
        except WaitTimeout as again:
            task = again.known[0] if again.known else task
        return await client.task_result(task, container=self._options.task.container)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, CallBegun):
            self._call_token = event.token
        elif isinstance(event, StartSettled) and event.outcome is Outcome.STARTED and event.task_arn is not None:
            self._arn = event.task_arn
            self._started.set()

    def _on_settled(self, starts: tuple[StartResult, ...], _: str | None) -> None:
        """Keep what is known of the start after its run was cancelled."""
        [self._late] = starts

    # ------------------------------------------------------------------------------------------- while the task runs

    @property
    def _follows(self) -> bool:
        follow = self._options.follow
        return self._streams.columns is not None if follow is None else follow

    @asynccontextmanager
    async def _shown(self, client: Client) -> AsyncGenerator[None]:
        """Show the states and the log of the task while the block runs, and then the rest of the log."""
        showing = asyncio.get_running_loop().create_task(self._show(client), name="aioecs run log")
        try:
            with self._live():
                yield
                if self._arn is not None:
                    cancelled = asyncio.ensure_future(self._token.wait())
                    await asyncio.wait([showing, cancelled], return_when=asyncio.FIRST_COMPLETED)
                    cancelled.cancel()
        finally:
            showing.cancel()
            await asyncio.wait([showing])

    def _live(self) -> AbstractContextManager[None]:
        """Show the state and the time, where no log is shown."""
        if self._follows:
            return nullcontext()
        if self._streams.shows_progress(as_json=self._as_json):
            return self._streams.live_display(lambda columns: Group(*wrapped(self._live_state(), columns - ECHO)))
        return self._streams.periodic_progress(self._state)

    def _live_state(self) -> Text:
        if self._streams.settling is None:
            return self._state()
        return Text(f"{self._streams.settling}; Ctrl-C again ends at once", "bold yellow")

    def _state(self) -> Text:
        name = f"task {messages.beginning(self._arn)} " if self._arn is not None else ""
        return Text(f"{name}{self._status}, {duration(self._seconds)}")

    @property
    def _seconds(self) -> float:
        return (self._clock() if self._ended is None else self._ended.at) - self._began

    async def _show(self, client: Client) -> None:
        await self._started.wait()
        how = "started" if self._options.task.idempotency_key is None else "started, now or before with the same key"
        self._note(Text(f"task {short(self._arn or '')} {how}", "dim"))
        states = asyncio.get_running_loop().create_task(self._show_states(client), name="aioecs run states")
        try:
            if self._follows:
                await self._show_log(client)
            await states
        finally:
            states.cancel()
            await asyncio.wait([states])

    async def _show_states(self, client: Client) -> None:
        try:
            async for task in client.watch([self._arn or ""], cluster=self._options.task.cluster):
                if task.last_status not in (None, self._status, "STOPPED"):
                    self._status = str(task.last_status)
                    self._note(Text(f"task {messages.beginning(task.arn)} {self._status}", "dim"))
        except ECSError:
            return  # the run meets it as well, and reports it

    async def _show_log(self, client: Client) -> None:
        cluster = self._options.task.cluster
        try:
            described = await client.describe_tasks(DescribeTasksRequest(cluster=cluster, tasks=[self._arn or ""]))
            names = container_names(described.tasks[0]) if described.tasks else []
            printer = LogPrinter(self._streams, self._format(names))
            await printer.all_of(client.logs(self._arn or "", follow=True, cluster=cluster))
        except ECSError as error:
            self._note(Text(one_line(no_log(error)), "yellow"))

    def _format(self, containers: list[str]) -> Callable[[LogLine], Text | str]:
        if self._as_json:
            return lambda line: f'{{"log": {log_json(line)}}}'
        return LogFormat(containers, terminal=self._streams.columns is not None)

    # ----------------------------------------------------------------------------------------------------- reporting

    async def _show_tail(self, client: Client, result: TaskResult) -> None:
        """Show the last lines of the log of a task that has failed, unless all was shown; an interrupt ends this."""
        if result.succeeded or self._follows or self._as_json:
            return
        with anyio.CancelScope() as reading:
            self._token.add_callback(lambda _: reading.cancel())
            tail = await client.log_tail(result)
            show = LogFormat({line.container for line in tail}, terminal=False)
            for line in tail:
                self._note(Text(f"  {show(line)}", no_wrap=True))

    def _report(self, ended: _Ended) -> int:
        """Show how the task ended, and return the exit status."""
        self._reported = True
        status = TIMED_OUT if ended.timed_out else status_of(ended.result)
        if self._as_json:
            self._streams.write(messages.result_json(ended.result, status, timed_out=ended.timed_out))
        else:
            self._note(messages.ending(ended.result, self._seconds))
        return status

    def _failed(self, error: ECSError | UsageError) -> int:
        """Report a run without a result, and return the exit status."""
        if isinstance(error, CallCancelled):
            return self._interrupted(error)
        status = NOT_STARTED if self._arn is None and not messages.is_unknown(error) else UNKNOWN
        if self._as_json:
            self._streams.write(messages.failure_json(error, status, self._arn, self._call_token))
        self._streams.print_error(messages.failure(error))
        if status == UNKNOWN:
            self._say_where_it_may_be()
        return status

    def _say_interrupted(self, _: str | None) -> None:
        if self._ended is not None:
            self._note(Text("Interrupted: the rest of the log is not shown", "bold yellow"))
            return
        stops = self._options.task.on_cancel == "stop" and self._arn is not None
        what = f"stopping task {messages.beginning(self._arn or '')}" if stops else "waiting for what is in flight"
        self._note(Text(f"Interrupted: {what}; Ctrl-C again ends at once", "bold yellow"))

    def _interrupted(self, error: CallCancelled) -> int:
        known = Outcome.STOPPED if self._stop_accepted else Outcome.STARTED if self._arn else Outcome.NOT_SENT
        start = self._late or (error.starts[0] if error.starts else None)
        outcome = start.outcome if start is not None else known
        self._arn = self._arn or (start.task.arn if start is not None and start.task is not None else None)
        if self._as_json:
            self._streams.write(messages.failure_json(error, INTERRUPTED, self._arn, self._call_token, outcome))
        self._note(Text(messages.interrupted(outcome, self._arn), "bold yellow"))
        if outcome in (Outcome.STARTED, Outcome.UNKNOWN):
            self._say_where_it_may_be()
        return INTERRUPTED

    def _say_where_it_may_be(self) -> None:
        if command := messages.where_it_may_be(self._options.task, self._arn, self._call_token):
            self._note(Text(f"  {command}", no_wrap=True))

    def _end_at_once(self) -> None:
        """Show how the task ended, or where it may be, and end the process."""
        self._streams.stop_live_display()
        if self._ended is None:
            known = self._arn is not None or self._call_token
            what = "the task may run on, as long as nobody stops it" if known else "nothing was started"
            self._note(Text(f"Ended at once: {what}", "bold yellow"))
            self._say_where_it_may_be()
            if self._as_json:
                self._streams.write(messages.unfinished_json(self._arn, self._call_token))
        elif not self._reported:
            self._report(self._ended)
        self._streams.finish()
        self._end(INTERRUPTED)

    def _note(self, text: Text) -> None:
        self._streams.print_note(text)
