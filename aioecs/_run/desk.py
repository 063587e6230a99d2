"""The desk where doubts are looked up: one per client and cluster, all doubts together, in rounds.

Whoever is in doubt asks with `look` and says how long it may wait for company. A round takes all who are waiting,
finds the cheapest reads for them (`_plan.looking`), and tells each what bears its token. Who comes while a round is
under way is in the next one. A cancelled look leaves the round to the others.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import attrs

from aioecs._model.enums import DesiredStatus, TaskField
from aioecs._model.task import DescribeTasksRequest, ListTasksRequest, Task
from aioecs._plan.acts import Looked
from aioecs._plan.looking import Doubt, bears, by_hundreds, pages_of, pages_worth, to_confirm
from aioecs._run.core import Core
from aioecs._run.slots import Turn
from aioecs._wire.port import DESCRIBE_TASKS, LIST_TASKS
from aioecs.errors import AccessDeniedException, AnswerLost, ECSError, InvalidParameterException

TAG = "aioecs:token"
REMEMBERED = 20_000  # strangers, a hundred bytes each; forgetting one costs a place in a DescribeTasks
COMPANY = 0.005  # in seconds: how long the first of a round waits for those of the same moment
WIDTH = 4  # reads of one round at a time: the rest of the read bucket is for others

T = TypeVar("T")


@attrs.frozen(eq=False)
class _Waiting:
    doubt: Doubt
    latest: float
    told: asyncio.Future[Looked]


@attrs.define(eq=False)
class _Round:
    """What one round has found so far."""

    doubts: list[Doubt]
    began: float
    arns: dict[str, None] = attrs.Factory(dict)
    tasks: dict[str, Task] = attrs.Factory(dict)
    failed: ECSError | None = None
    failed_tokens: dict[str, ECSError] = attrs.Factory(dict)

    def looked(self, doubt: Doubt) -> Looked:
        error = self.failed or self.failed_tokens.get(doubt.started_by)
        tasks = tuple(task for task in self.tasks.values() if bears(task, doubt, TAG))
        denied = isinstance(error, AccessDeniedException)
        return Looked(tasks, whole=error is None, began=self.began, error=error, denied=denied)


class Desk:
    """Looks up all doubts of one cluster."""

    def __init__(self, core: Core, cluster: str | None) -> None:
        self._core = core
        self._cluster = cluster
        self._waiting: list[_Waiting] = []
        self._come = asyncio.Event()
        self._running = False
        self._strangers: OrderedDict[str, None] = OrderedDict()
        self._too_large_for = 0  # so many pages are not the whole cluster
        self._refuses_stopped = False  # whether ECS refuses startedBy beside desiredStatus=STOPPED

    async def look(self, doubt: Doubt, patience: float) -> Looked:
        """Look a doubt up in the next round; it waits `patience` seconds for company, at most."""
        told: asyncio.Future[Looked] = self._core.loop.create_future()
        self._waiting.append(_Waiting(doubt, self._core.now + patience, told))
        self._come.set()
        if not self._running:
            self._running = True
            self._core.custody.own(self._rounds(), "aioecs looks doubts up")
        try:
            return await told
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not we but the round was cancelled, by the end of its loop: a look that was cut counts as none.
            return Looked((), whole=False, began=self._core.now, error=AnswerLost("the look-up was cut"))

    async def _rounds(self) -> None:
        """Hold rounds while anyone waits."""
        try:
            await asyncio.sleep(COMPANY)
            while self._take_leave_of_the_gone():
                await self._wait_for_company()
                waiting, self._waiting = self._waiting, []
                await self._hold(waiting)
        finally:
            self._running = False
            for one in self._waiting:
                one.told.cancel()

    def _take_leave_of_the_gone(self) -> bool:
        self._waiting = [one for one in self._waiting if not one.told.done()]
        return bool(self._waiting)

    async def _wait_for_company(self) -> None:
        """Wait until the first of those who wait will wait no longer."""
        while (left := min(one.latest for one in self._waiting) - self._core.now) > 0:
            self._come.clear()
            try:
                await asyncio.wait_for(self._come.wait(), left)
            except TimeoutError:
                return

    async def _hold(self, waiting: list[_Waiting]) -> None:
        round_ = _Round([one.doubt for one in waiting], self._core.now)
        try:
            await self._look_up(round_)
        except ECSError as error:
            round_.failed = error
        except asyncio.CancelledError:
            for one in waiting:
                one.told.cancel()
            raise
        if isinstance(round_.failed, AccessDeniedException):
            self._core.warn_once("look", "starts in doubt can't be looked up, they end as UNKNOWN: %s", round_.failed)
        for one in waiting:
            if not one.told.done():
                one.told.set_result(round_.looked(one.doubt))

    async def _look_up(self, round_: _Round) -> None:
        if not await self._list_cluster(round_):
            tokens = dict.fromkeys(doubt.started_by for doubt in round_.doubts)
            await self._each(tokens, lambda token: self._list_token(round_, token))
        await self._describe(round_)
        found = {doubt.token: round_.looked(doubt).tasks for doubt in round_.doubts}
        doubts = round_.doubts if not self._refuses_stopped else [attrs.evolve(d, confirm=True) for d in round_.doubts]
        if instances := to_confirm(doubts, found):
            await self._each(instances, lambda instance: self._list_stopped_on(round_, instance))
            await self._describe(round_)

    async def _list_cluster(self, round_: _Round) -> bool:
        """List the whole cluster, if that is cheaper; return whether it was read to its end."""
        worth = pages_worth(round_.doubts)
        if worth <= max(2, self._too_large_for):
            return False
        pages = 0
        for status in (DesiredStatus.RUNNING, DesiredStatus.STOPPED):
            token: str | None = None
            while True:
                request = ListTasksRequest(cluster=self._cluster, desired_status=status, next_token=token)
                token = await self._page(round_, request)
                pages += 1
                if token is None:
                    break
                if pages + pages_of(len(self._unseen(round_))) >= worth:
                    self._too_large_for = worth
                    return False
        self._too_large_for = 0
        return True

    async def _list_token(self, round_: _Round, started_by: str) -> None:
        """List one token's tasks, those of desired status RUNNING first: one that stops meanwhile is seen then."""
        statuses = [DesiredStatus.RUNNING] if self._refuses_stopped else [DesiredStatus.RUNNING, DesiredStatus.STOPPED]
        for status in statuses:
            try:
                await self._pages(
                    round_, ListTasksRequest(cluster=self._cluster, started_by=started_by, desired_status=status)
                )
            except InvalidParameterException:
                if status is not DesiredStatus.STOPPED:
                    raise
                self._refuses_stopped = True
            except AccessDeniedException:
                raise
            except ECSError as error:
                round_.failed_tokens[started_by] = error
                return

    async def _list_stopped_on(self, round_: _Round, instance: str) -> None:
        await self._pages(
            round_,
            ListTasksRequest(cluster=self._cluster, container_instance=instance, desired_status=DesiredStatus.STOPPED),
        )

    async def _pages(self, round_: _Round, request: ListTasksRequest) -> None:
        token = await self._page(round_, request)
        while token is not None:
            token = await self._page(round_, request.replace(next_token=token))

    async def _page(self, round_: _Round, request: ListTasksRequest) -> str | None:
        answered = await self._core.harmless(LIST_TASKS, request, Turn.LOOK, within=self._core.timeouts.attempt)
        round_.arns.update(dict.fromkeys(answered.answer.task_arns))
        return answered.answer.next_token or None

    def _unseen(self, round_: _Round) -> list[str]:
        return [arn for arn in round_.arns if arn not in round_.tasks and arn not in self._strangers]

    async def _describe(self, round_: _Round) -> None:
        await self._each(by_hundreds(self._unseen(round_)), lambda arns: self._describe_some(round_, arns))

    async def _describe_some(self, round_: _Round, arns: tuple[str, ...]) -> None:
        request = DescribeTasksRequest(cluster=self._cluster, tasks=arns, include=[TaskField.TAGS])
        answered = await self._core.harmless(DESCRIBE_TASKS, request, Turn.LOOK, within=self._core.timeouts.attempt)
        for task in answered.answer.tasks:
            if any(bears(task, doubt, TAG) for doubt in round_.doubts):
                round_.tasks[task.task_arn or ""] = task
            else:
                self._remember(task.task_arn or "")
        if answered.answer.failures:  # listed, and not to be described yet: whose it is isn't known
            round_.failed = AnswerLost(f"DescribeTasks misses {len(answered.answer.failures)} tasks that ListTasks has")

    def _remember(self, arn: str) -> None:
        self._strangers[arn] = None
        while len(self._strangers) > REMEMBERED:
            self._strangers.popitem(last=False)

    async def _each(self, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
        """Do the work for each, a few at a time; the first error ends the others."""
        todo = list(items)
        errors: list[ECSError] = []

        async def one_after_another() -> None:
            while todo and not errors:
                try:
                    await work(todo.pop(0))
                except ECSError as error:
                    errors.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(WIDTH, len(todo))):
                group.create_task(one_after_another())
        if errors:
            raise errors[0]
