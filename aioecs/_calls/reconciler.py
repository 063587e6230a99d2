"""Looks up the ambiguous calls of one client and cluster, all together, in rounds.

An ambiguous call asks with `look` and says how long it may wait for others. A round takes all that wait, finds the
cheapest reads for them (`_logic.calls.lookups`), and tells each which tasks bear its token. A call that comes during a
round is in the next one. A cancelled lookup leaves the round to the others.

A failed read counts only against the calls that it could have told something: one token that can't be listed, or one
task that can't be described, keeps no other call from settling, unless it can't be known whose it is.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

import attrs

from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import (
    AmbiguousCall,
    Mark,
    by_hundreds,
    costs_more,
    marks_of,
    own_copy,
    to_confirm,
    tokens_to_list,
)
from aioecs._model.arn import short
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.enums import DesiredStatus, TaskField
from aioecs._model.shapes.task import DescribeTasksRequest, ListTasksRequest, Task
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_TASKS, LIST_TASKS, Operation
from aioecs.errors import AccessDeniedException, AnswerLost, ClientException, ECSError, InvalidParameterException

RUNNING, STOPPED = LISTED = (DesiredStatus.RUNNING, DesiredStatus.STOPPED)
TAG = "aioecs:token"
REMEMBERED = 20_000  # tasks of others, some 400 bytes each; forgetting one costs a place in a DescribeTasks
GATHERING = 0.005  # in seconds: how long the first of a round waits for those of the same moment
DESCRIBED_AGAIN = (0.1, 0.3)  # in seconds: backoff before a task that is listed and MISSING is described again
TOLD_APART = 100  # tokens listed one by one where a task of the cluster's list can't be described
WIDTH = 4  # reads of one round at a time
RATE = 10.0  # reads a second that rounds may take in the long run: half of the published refill, the rest is for others
CREDIT = 8.0  # in seconds: so far rounds may be ahead of that rate, with most of the published burst

T = TypeVar("T")
R = TypeVar("R", bound=Shape)


@attrs.frozen(eq=False)
class _Waiting:
    ambiguous_call: AmbiguousCall
    latest: float
    told: asyncio.Future[LookupDone]


@attrs.define(eq=False)
class _Round:
    """What one round has found so far."""

    ambiguous_calls: list[AmbiguousCall]
    began: float
    found: dict[Mark, dict[str, Task]] = attrs.field(init=False)
    seen: set[str] = attrs.Factory(set)
    unseen: dict[str, str | None] = attrs.Factory(dict)
    """ARNs that are still to be described, and what was asked for when they were listed; None is everything."""
    missing: dict[str, str | None] = attrs.Factory(dict)
    """The same, of what was listed and could not be described."""
    strays: set[str] = attrs.Factory(set)
    """What the cluster's list has and DescribeTasks misses: it may bear any token."""
    failed: ECSError | None = None
    """What keeps every lookup from being complete."""
    failed_for: dict[str, ECSError] = attrs.Factory(dict)
    """The same for those who are concerned by this token or this instance."""

    def __attrs_post_init__(self) -> None:
        self.found = {call.mark: {} for call in self.ambiguous_calls}

    def wants(self, marks: Iterable[Mark] | None) -> bool:
        """Tell whether a task is, or may be, anyone's; None are the marks of one that was never described."""
        return marks is None or any(mark in self.found for mark in marks)

    def describe(self, task: Task, marks: Iterable[Mark]) -> bool:
        """Give a task to those whose it is; return whether there are any."""
        wanted = [self.found[mark] for mark in marks if mark in self.found]
        for tasks in wanted:
            tasks[task.task_arn or ""] = task
        self.seen.add(task.task_arn or "")
        return bool(wanted)

    def fail(self, asked: Iterable[str | None], error: ECSError) -> None:
        """Note what failed, by what was asked for."""
        for one in asked:
            if one is None:
                self.failed = error
            else:
                self.failed_for[one] = error

    def looked(self, ambiguous_call: AmbiguousCall) -> LookupDone:
        """Say what came of it for one call; a lookup that was not to confirm is never complete."""
        asked = (ambiguous_call.started_by, *map(short, ambiguous_call.instances))
        error = self.failed or next((self.failed_for[one] for one in asked if one in self.failed_for), None)
        return LookupDone(
            tuple(self.found[ambiguous_call.mark].values()),
            whole=error is None and ambiguous_call.confirm,
            began=self.began,
            error=own_copy(error),
            denied=isinstance(error, AccessDeniedException),
        )


class Reconciler:
    """Looks up all ambiguous calls of one cluster."""

    def __init__(self, core: Core, cluster: str | None) -> None:
        self._core = core
        self._cluster = cluster
        self._waiting: list[_Waiting] = []
        self._come = asyncio.Event()
        self._running = False
        self._due = float("-inf")  # when the reads of the rounds so far will have been paid for at `RATE`
        self._others: OrderedDict[str, tuple[Mark, ...]] = OrderedDict()  # described, and of no call then
        self._too_large_for = dict.fromkeys(LISTED, 0)  # so many reads don't show the cluster's tasks of this status
        self._refuses_stopped = False  # whether ECS refuses startedBy beside desiredStatus=STOPPED

    async def look(self, ambiguous_call: AmbiguousCall, patience: float) -> LookupDone:
        """Look an ambiguous call up in the next round; it waits `patience` seconds for others, at most."""
        told: asyncio.Future[LookupDone] = self._core.loop.create_future()
        self._waiting.append(_Waiting(ambiguous_call, self._core.now + patience, told))
        self._come.set()
        if not self._running:
            self._running = True
            self._core.background_tasks.own(self._rounds(), "aioecs looks up ambiguous calls")
        try:
            return await told
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                self._come.set()  # one less to wait for, and perhaps the last
                raise
            # The round was cut, not this caller, by the end of its loop or a fault of its own: it counts as no lookup.
            return LookupDone((), whole=False, began=self._core.now, error=AnswerLost("the lookup was cut"))

    # ---------------------------------------------------------------------------------------------------- the rounds

    async def _rounds(self) -> None:
        """Hold rounds while anyone waits."""
        try:
            await asyncio.sleep(GATHERING)
            while await self._others_came():
                waiting, self._waiting = self._waiting, []
                await self._hold(waiting)
        finally:
            self._running = False
            _dismiss(self._waiting)

    async def _others_came(self) -> bool:
        """Wait until the first of those who wait will wait no longer, and a round is due; False if nobody is left."""
        while True:
            self._waiting = [one for one in self._waiting if not one.told.done()]
            if not self._waiting:
                return False
            left = max(min(one.latest for one in self._waiting), self._due) - self._core.now
            if left <= 0:
                return True
            self._come.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._come.wait()

    async def _hold(self, waiting: list[_Waiting]) -> None:
        """Hold one round, and tell everyone in it what came of it."""
        round_ = _Round([one.ambiguous_call for one in waiting], self._core.now)
        self._due = max(self._due, round_.began - CREDIT)
        try:
            await self._look_up(round_)
            for one in waiting:
                if not one.told.done():
                    one.told.set_result(round_.looked(one.ambiguous_call))
        finally:
            self._due = min(self._due, self._core.now + self._core.retries.max_backoff)
            _dismiss(waiting)

    async def _look_up(self, round_: _Round) -> None:
        """Find what there is to find; what fails is noted."""
        try:
            await self._list_tasks(round_, RUNNING)
            whole_cluster = await self._list_tasks(round_, STOPPED)
            await self._describe(round_)
            await self._tell_apart(round_)
            await self._confirm(round_, whole_cluster)
        except AccessDeniedException as error:
            round_.failed = error
            self._core.warn_once("look", "ambiguous starts can't be looked up, they end as UNKNOWN: %s", error)
        except ECSError as error:
            round_.failed = error

    async def _list_tasks(self, round_: _Round, status: DesiredStatus) -> bool:
        """List the tasks of one status in the cheaper way; return whether the whole cluster's were listed."""
        tokens = len(tokens_to_list(round_.ambiguous_calls, status, round_.failed_for))
        whole = tokens > max(1, self._too_large_for[status]) and await self._list_cluster(round_, status, tokens)
        if not whole:
            await self._list_tokens(round_, status)
        return whole

    async def _list_tokens(self, round_: _Round, status: DesiredStatus) -> None:
        tokens = tokens_to_list(round_.ambiguous_calls, status, round_.failed_for)
        round_.failed_for |= await self._each(tokens, lambda token: self._list_token(round_, status, token))

    async def _list_cluster(self, round_: _Round, status: DesiredStatus, tokens: int) -> bool:
        """List the cluster's tasks of one status, unless that costs more than to list so many tokens."""
        request = ListTasksRequest(cluster=self._cluster, desired_status=status)
        before, pages = dict(round_.unseen), 1
        while (more := await self._page(round_, request, None)) is not None:
            if costs_more(pages, len(round_.unseen) - len(before), tokens):
                self._too_large_for[status] = 2 * tokens
                round_.unseen = before
                return False
            request, pages = request.replace(next_token=more), pages + 1
        self._too_large_for[status] = pages - 1
        return True

    async def _list_token(self, round_: _Round, status: DesiredStatus, token: str) -> None:
        """List one token's tasks of one status."""
        request = ListTasksRequest(cluster=self._cluster, started_by=token)
        if status is RUNNING:
            await self._list(round_, request, token)
        elif not self._refuses_stopped:
            try:
                await self._list(round_, request.replace(desired_status=status), token)
            except InvalidParameterException as error:
                if error.throttled:
                    raise
                self._refuses_stopped = True

    async def _confirm(self, round_: _Round, whole_cluster: bool) -> None:
        """Ask the instances of those who are to be confirmed as absent for their stopped tasks.

        All are asked for where ECS refuses to list a token's stopped tasks: they are found by their instance, or never.
        What was never sent needs no second look where the cluster's own list of stopped tasks was read to its end.
        """
        calls = [call for call in round_.ambiguous_calls if call.sent or not whole_cluster]
        if self._refuses_stopped and not whole_cluster:
            calls = [attrs.evolve(call, confirm=True) for call in calls]
        instances = to_confirm(calls, {mark: tuple(tasks.values()) for mark, tasks in round_.found.items()})
        failed = await self._each(instances, lambda instance: self._list_stopped_on(round_, instance))
        round_.failed_for |= {short(instance): error for instance, error in failed.items()}
        await self._describe(round_)

    async def _list_stopped_on(self, round_: _Round, instance: str) -> None:
        request = ListTasksRequest(cluster=self._cluster, container_instance=instance, desired_status=STOPPED)
        try:
            await self._list(round_, request, short(instance))
        except (InvalidParameterException, ClientException) as error:
            if error.throttled:
                raise
            # ECS doesn't know the instance: there is nothing to be found on it, and nothing can be started there.

    async def _list(self, round_: _Round, request: ListTasksRequest, asked: str) -> None:
        """Read a list to its end."""
        while (more := await self._page(round_, request, asked)) is not None:
            request = request.replace(next_token=more)

    async def _page(self, round_: _Round, request: ListTasksRequest, asked: str | None) -> str | None:
        """Read one page of a list, and return where the next begins."""
        answer = await self._read(LIST_TASKS, request)
        for arn in answer.task_arns:
            if arn not in round_.seen and round_.wants(self._others.get(arn)):
                round_.unseen[arn] = asked
        return answer.next_token or None

    async def _describe(self, round_: _Round) -> None:
        """Describe what was listed; ListTasks may show a task a moment before DescribeTasks does."""
        listed, round_.unseen = round_.unseen, {}
        await self._describe_listed(round_, listed)
        for rest in DESCRIBED_AGAIN:
            if not round_.missing:
                return
            missing, round_.missing = round_.missing, {}
            await asyncio.sleep(rest)
            await self._describe_listed(round_, missing)
        missing, round_.missing = round_.missing, {}
        if None in missing.values() and len(round_.ambiguous_calls) <= TOLD_APART:
            round_.strays = {arn for arn, asked in missing.items() if asked is None}
            missing = {arn: asked for arn, asked in missing.items() if asked is not None}
        if missing:
            lost = AnswerLost(f"DescribeTasks misses {len(missing)} tasks that ListTasks has")
            round_.fail(missing.values(), lost)

    async def _tell_apart(self, round_: _Round) -> None:
        """List each token by itself, where the cluster's list has tasks that can't be described: whose they are shows.

        So a look is whole for a token when all that bears the token is described, whatever others start meanwhile.
        """
        strays, round_.strays = round_.strays, set()
        if strays:
            for status in LISTED:
                await self._list_tokens(round_, status)
            await self._describe(round_)

    async def _describe_listed(self, round_: _Round, listed: Mapping[str, str | None]) -> None:
        failed = await self._each(by_hundreds(listed), lambda arns: self._describe_some(round_, arns, listed))
        for arns, error in failed.items():
            round_.fail([listed[arn] for arn in arns], error)

    async def _describe_some(self, round_: _Round, arns: tuple[str, ...], listed: Mapping[str, str | None]) -> None:
        request = DescribeTasksRequest(cluster=self._cluster, tasks=arns, include=[TaskField.TAGS])
        answer = await self._read(DESCRIBE_TASKS, request)
        for task in answer.tasks:
            if not round_.describe(task, marks := marks_of(task, TAG)):
                self._remember(task.task_arn or "", marks)
        for failure in answer.failures:
            round_.missing[failure.arn or ""] = listed.get(failure.arn or "")

    async def _read(self, operation: Operation[R], request: Shape) -> R:
        self._due += 1 / RATE
        return (await self._core.harmless(operation, request, Priority.LOOK, within=self._core.timeouts.attempt)).answer

    def _remember(self, arn: str, marks: tuple[Mark, ...]) -> None:
        self._others[arn] = marks
        while len(self._others) > REMEMBERED:
            self._others.popitem(last=False)

    async def _each(self, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> dict[T, ECSError]:
        """Do the work for each, a few at a time, and return what failed.

        A lane ends with its first error; what is left when none goes on has failed too: an ECS that is down is not
        asked hundreds of times.

        Raises:
            AccessDeniedException: one of them isn't permitted, so none is.
        """
        failed: dict[T, ECSError] = {}
        todo = iter(items)

        async def lane() -> None:
            for item in todo:
                try:
                    await work(item)
                except ECSError as error:
                    failed[item] = error
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(WIDTH):
                group.create_task(lane())
        for error in failed.values():
            if isinstance(error, AccessDeniedException):
                raise error
        last = next(reversed(failed.values()), None)
        return failed | {item: last for item in todo if last is not None}


def _dismiss(waiting: Iterable[_Waiting]) -> None:
    """End the wait of calls that were told nothing."""
    for one in waiting:
        one.told.cancel()
