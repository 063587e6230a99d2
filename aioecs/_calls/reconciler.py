"""Looks up the ambiguous calls of one client and cluster, all together, in rounds.

An ambiguous call waits in `look_up` and says how long it may wait for others. A round takes all that wait, finds the
cheapest reads for them (`_logic.calls.lookups`), and returns to each the tasks that bear its token. A call that arrives
during a round is in the next one. A cancelled lookup leaves the round to the others.

A failed read counts only against the calls that it concerns: one token that can't be listed, or one task that can't be
described, delays no other call, unless it can't be known to which call it belongs.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

import attrs

from aioecs._calls.lookup_round import LookupRound
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import AmbiguousCall, Mark, by_hundreds, costs_more, marks_of, to_confirm
from aioecs._model.arn import short
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.enums import DesiredStatus, TaskField
from aioecs._model.shapes.task import DescribeTasksRequest, ListTasksRequest, Task
from aioecs._runtime.background_tasks import TaskGroup
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_TASKS, LIST_TASKS, Operation
from aioecs.errors import AccessDeniedException, AnswerLost, ClientException, ECSError, InvalidParameterException

RUNNING, STOPPED = LISTED = (DesiredStatus.RUNNING, DesiredStatus.STOPPED)
TAG = "aioecs:token"
REMEMBERED = 20_000  # tasks of other calls, some 400 bytes each; a forgotten one is described again
GATHERING = 0.005  # in seconds: how long the first call of a round waits for those of the same moment
DESCRIBED_AGAIN = (0.1, 0.3)  # in seconds: backoff before a task that is listed and not found is described again
TOKENS_LISTED_APART = 100  # tokens listed one by one where a task of the cluster's list can't be described
WIDTH = 4  # reads of one round at a time
RATE = 10.0  # reads a second that rounds may take in the long run: half of the published refill, the rest is for others
CREDIT = 8.0  # in seconds: how far rounds may be ahead of that rate, with most of the published burst

T = TypeVar("T")
R = TypeVar("R", bound=Shape)


@attrs.frozen(eq=False)
class _Waiting:
    """An ambiguous call that waits for its lookup."""

    ambiguous_call: AmbiguousCall
    latest: float
    """When its round is to begin at the latest, on the loop's clock."""
    result: asyncio.Future[LookupDone]


class Reconciler:
    """Looks up all ambiguous calls of one cluster."""

    def __init__(self, core: Core, cluster: str | None) -> None:
        self._core = core
        self._cluster = cluster
        self._waiting: list[_Waiting] = []
        self._changed = asyncio.Event()
        self._running = False
        self._due = float("-inf")  # when the reads of the rounds so far fit into `RATE`
        self._others: OrderedDict[str, tuple[Mark, ...]] = OrderedDict()  # described, and of no call of their round
        self._too_large_for: dict[DesiredStatus, int] = dict.fromkeys(
            LISTED, 0
        )  # the cluster's list of this status takes more reads than this
        self._refuses_stopped = False  # whether ECS refuses startedBy beside desiredStatus=STOPPED
        self._shows_stopped = False  # whether that was seen to show a stopped task: ECS may also ignore STOPPED

    async def look_up(self, ambiguous_call: AmbiguousCall, max_wait: float) -> LookupDone:
        """Look a call up in the next round, which begins within `max_wait` seconds if its rate allows."""
        result: asyncio.Future[LookupDone] = self._core.loop.create_future()
        self._waiting.append(_Waiting(ambiguous_call, self._core.now + max_wait, result))
        self._changed.set()
        if not self._running:
            self._running = True
            self._core.background_tasks.own(self._rounds(), "aioecs looks up ambiguous calls")
        try:
            return await result
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                self._changed.set()  # the round may begin, or have nobody left
                raise
            # The round was cancelled, not this caller: by the end of its loop, or by a defect. It counts as no lookup.
            return LookupDone((), whole=False, began=self._core.now, error=AnswerLost("the lookup was cancelled"))

    # ---------------------------------------------------------------------------------------------------- the rounds

    async def _rounds(self) -> None:
        """Carry out rounds while any call waits."""
        try:
            await asyncio.sleep(GATHERING)
            while await self._round_due():
                waiting, self._waiting = self._waiting, []
                await self._carry_out(waiting)
        finally:
            self._running = False
            _cancel_waits(self._waiting)

    async def _round_due(self) -> bool:
        """Wait until a call has waited as long as it may and the rate allows a round; False if no call is left."""
        while True:
            self._waiting = [one for one in self._waiting if not one.result.done()]
            if not self._waiting:
                return False
            left = max(min(one.latest for one in self._waiting), self._due) - self._core.now
            if left <= 0:
                return True
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    async def _carry_out(self, waiting: list[_Waiting]) -> None:
        """Carry out one round, and give each call in it its result."""
        round_ = LookupRound([one.ambiguous_call for one in waiting], self._core.now)
        self._due = max(self._due, round_.began - CREDIT)
        try:
            await self._read_round(round_)
            for one in waiting:
                if not one.result.done():
                    one.result.set_result(round_.result_for(one.ambiguous_call))
        finally:
            self._due = min(self._due, self._core.now + self._core.retries.max_backoff)
            _cancel_waits(waiting)

    async def _read_round(self, round_: LookupRound) -> None:
        """Read what the round needs, and note what fails."""
        try:
            await self._list_tasks(round_, RUNNING)
            whole_cluster = await self._list_tasks(round_, STOPPED)
            await self._describe(round_)
            await self._list_tokens_apart(round_)
            whole_cluster = whole_cluster or await self._list_stopped_anywhere(round_)
            await self._confirm(round_, whole_cluster)
        except AccessDeniedException as error:
            round_.failed = error
            self._core.warn_once("look", "ambiguous starts can't be looked up, they end as UNKNOWN: %s", error)
        except ECSError as error:
            round_.failed = error

    async def _list_tasks(self, round_: LookupRound, status: DesiredStatus) -> bool:
        """List the tasks of one status in the cheaper way; return whether the whole cluster's were listed."""
        tokens = round_.tokens(status)
        if await self._list_cluster(round_, status, len(tokens)):
            return True
        await self._list_tokens(round_, status, tokens)
        return False

    async def _list_tokens(self, round_: LookupRound, status: DesiredStatus, tokens: Iterable[str]) -> None:
        round_.failed_for |= await self._each(tokens, lambda token: self._list_token(round_, status, token))

    async def _list_cluster(self, round_: LookupRound, status: DesiredStatus, token_reads: int) -> bool:
        """List the cluster's tasks of one status, if that takes fewer reads; return whether all were listed.

        `token_reads` is how many reads it takes to list each token by itself. What is listed must be described once,
        and is remembered: that may cost as many reads again.
        """
        if token_reads <= max(1, self._too_large_for[status]):
            return False
        request = ListTasksRequest(cluster=self._cluster, desired_status=status)
        before, pages = dict(round_.unseen), 1
        while (more := await self._page(round_, request, None)) is not None:
            if costs_more(pages, len(round_.unseen) - len(before), token_reads):
                self._too_large_for[status] = 2 * token_reads
                round_.unseen = before
                return False
            request, pages = request.replace(next_token=more), pages + 1
        self._too_large_for[status] = pages - 1
        return True

    async def _list_token(self, round_: LookupRound, status: DesiredStatus, token: str) -> None:
        """List one token's tasks of one status."""
        request = ListTasksRequest(cluster=self._cluster, started_by=token)
        if status is RUNNING:  # ECS's default
            await self._list(round_, request, token)
        elif not self._refuses_stopped:
            try:
                await self._list(round_, request.replace(desired_status=status), token)
            except InvalidParameterException as error:
                if error.throttled:
                    raise
                self._refuses_stopped = True

    async def _list_stopped_anywhere(self, round_: LookupRound) -> bool:
        """List the cluster's stopped tasks for calls that may have run on any instance; return whether that was done.

        It is needed until a token's own list was seen to show a stopped task.
        """
        calls = round_.may_be_anywhere()
        if self._shows_stopped or not calls:
            return False
        await self._list(round_, ListTasksRequest(cluster=self._cluster, desired_status=STOPPED), None)
        await self._describe(round_)
        if round_.strays:
            lost = AnswerLost(f"DescribeTasks misses {len(round_.strays)} stopped tasks that ListTasks has")
            round_.fail([call.started_by for call in calls], lost)
        if round_.stopped is not None and not self._refuses_stopped:
            await self._try_list_of_stopped(round_.stopped)
        return True

    async def _try_list_of_stopped(self, task: Task) -> None:
        """Find out whether the list of a token's stopped tasks shows one that has stopped."""
        request = ListTasksRequest(cluster=self._cluster, started_by=task.started_by, desired_status=STOPPED)
        try:
            self._shows_stopped = task.task_arn in (await self._read(LIST_TASKS, request)).task_arns
        except InvalidParameterException as error:
            if error.throttled:
                raise

    async def _confirm(self, round_: LookupRound, whole_cluster: bool) -> None:
        """List the stopped tasks of the instances on which a start is to be confirmed as absent.

        All instances are listed where ECS refuses to list a token's stopped tasks: only this finds them. A call that
        was never sent needs no confirmation where the cluster's own list of stopped tasks was read to its end.
        """
        calls = [call for call in round_.ambiguous_calls if call.sent or not whole_cluster]
        if self._refuses_stopped and not whole_cluster:
            calls = [attrs.evolve(call, confirm=True) for call in calls]
        instances = to_confirm(calls, {mark: tuple(tasks.values()) for mark, tasks in round_.found.items()})
        failed = await self._each(instances, lambda instance: self._list_stopped_on(round_, instance))
        round_.failed_for |= {short(instance): error for instance, error in failed.items()}
        await self._describe(round_)

    async def _list_stopped_on(self, round_: LookupRound, instance: str) -> None:
        request = ListTasksRequest(
            cluster=self._cluster, container_instance=instance, desired_status=DesiredStatus.STOPPED
        )
        try:
            await self._list(round_, request, short(instance))
        except (InvalidParameterException, ClientException) as error:
            if error.throttled:
                raise
            # ECS doesn't know the instance: no task is on it, and none can be started there.

    async def _list(self, round_: LookupRound, request: ListTasksRequest, source: str | None) -> None:
        """Read a list to its end."""
        while (more := await self._page(round_, request, source)) is not None:
            request = request.replace(next_token=more)

    async def _page(self, round_: LookupRound, request: ListTasksRequest, source: str | None) -> str | None:
        """Read one page of a list, and return the token of the next."""
        answer = await self._read(LIST_TASKS, request)
        for arn in answer.task_arns:
            if arn not in round_.seen and round_.wants(self._others.get(arn)):
                round_.unseen[arn] = source
        return answer.next_token or None

    async def _describe(self, round_: LookupRound) -> None:
        """Describe the listed tasks; ListTasks may show a task a moment before DescribeTasks does."""
        listed, round_.unseen = round_.unseen, {}
        await self._describe_listed(round_, listed)
        for pause in DESCRIBED_AGAIN:
            if not round_.missing:
                return
            missing, round_.missing = round_.missing, {}
            await asyncio.sleep(pause)
            await self._describe_listed(round_, missing)
        missing, round_.missing = round_.missing, {}
        if None in missing.values() and len(round_.ambiguous_calls) <= TOKENS_LISTED_APART:
            round_.strays = {arn for arn, source in missing.items() if source is None}
            missing = {arn: source for arn, source in missing.items() if source is not None}
        if missing:
            lost = AnswerLost(f"DescribeTasks misses {len(missing)} tasks that ListTasks has")
            round_.fail(missing.values(), lost)

    async def _list_tokens_apart(self, round_: LookupRound) -> None:
        """List each token by itself, if the cluster's list has tasks that can't be described: it shows whose they are.

        So a lookup is whole for a token when all tasks that bear it are described, whatever else is started meanwhile.
        """
        strays, round_.strays = round_.strays, set()
        if strays:
            for status in LISTED:
                await self._list_tokens(round_, status, round_.tokens(status))
            await self._describe(round_)

    async def _describe_listed(self, round_: LookupRound, listed: Mapping[str, str | None]) -> None:
        failed = await self._each(by_hundreds(listed), lambda arns: self._describe_some(round_, arns, listed))
        for arns, error in failed.items():
            round_.fail([listed[arn] for arn in arns], error)

    async def _describe_some(
        self, round_: LookupRound, arns: tuple[str, ...], listed: Mapping[str, str | None]
    ) -> None:
        request = DescribeTasksRequest(cluster=self._cluster, tasks=arns, include=[TaskField.TAGS])
        answer = await self._read(DESCRIBE_TASKS, request)
        for task in answer.tasks:
            if not round_.describe(task, marks := marks_of(task, TAG)):
                self._remember(task.task_arn or "", marks)
        for failure in answer.failures:
            round_.missing[failure.arn or ""] = listed.get(failure.arn or "")

    async def _read(self, operation: Operation[R], request: Shape) -> R:
        self._due += 1 / RATE
        return (
            await self._core.call_with_retries(operation, request, Priority.LOOKUP, within=self._core.timeouts.attempt)
        ).answer

    def _remember(self, arn: str, marks: tuple[Mark, ...]) -> None:
        self._others[arn] = marks
        while len(self._others) > REMEMBERED:
            self._others.popitem(last=False)

    async def _each(self, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> dict[T, ECSError]:
        """Call `work` for each item, `WIDTH` at a time, and return the errors.

        Each of `WIDTH` lanes does one item after another, and ends with its first error. Items left once all have ended
        count as failed, so an ECS that is down doesn't get hundreds of requests.

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

        async with TaskGroup() as group:
            for _ in range(WIDTH):
                group.create_task(lane())
        for error in failed.values():
            if isinstance(error, AccessDeniedException):
                raise error
        last = next(reversed(failed.values()), None)
        return failed | {item: last for item in todo if last is not None}


def _cancel_waits(waiting: Iterable[_Waiting]) -> None:
    """Cancel the wait of calls that have no result."""
    for one in waiting:
        one.result.cancel()
