"""A cancel in the moment in which a start settles: what the caller was not yet given is stopped, and no word is untrue.

Each way of starting is cancelled at each step of the event loop around its end, by each kind of cancel. What the caller
is told must hold against what ECS was asked: a task that was said to run is never stopped afterwards, and one that was
said to be stopped was.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import attrs
import pytest
from batch_world import HOSTS, Told, a_request
from run_world import ToldDesk, ToldPort, iterations, leaping, told_client

import aioecs
from aioecs import CancelToken, Outcome, StartResult, StartTaskRequest

STEPS = 14
HOWS = ["token", "scope", "task", "token and task", "enclosing scope"]


@attrs.define
class Moment:
    """One start that is cancelled so many steps after its answer was let go, and what was told of it."""

    way: str
    how: str
    on_cancel: Any
    starts: tuple[StartResult, ...] = ()
    cancelled: bool = False
    heard: list[StartResult] = attrs.Factory(list)
    port: ToldPort = attrs.Factory(ToldPort)
    token: CancelToken = attrs.Factory(CancelToken)
    scope: anyio.CancelScope = attrs.Factory(anyio.CancelScope)
    around: anyio.CancelScope = attrs.Factory(anyio.CancelScope)

    async def act(self, client: aioecs.Client) -> None:
        """Start it, and note what the caller is told."""
        requests = [a_request(HOSTS[0]), a_request(HOSTS[1])]
        with self.around:
            try:
                await WAYS[self.way](self, client, requests)
            except aioecs.StartCancelled as error:
                self.note(error)
            except asyncio.CancelledError as error:
                self.note(error)
                raise

    def note(self, error: BaseException) -> None:
        """Take what an error tells."""
        truth = aioecs.find_start_error(error)
        self.cancelled = True
        self.starts += truth.starts if truth is not None else ()

    @property
    def source(self) -> Any:
        """What is passed as `cancel_scope`."""
        return {"token": self.token, "token and task": self.token, "scope": self.scope}.get(self.how)

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel it."""
        if "token" in self.how:
            self.token.cancel("moment")
        if self.how == "scope":
            self.scope.cancel()
        if "task" in self.how:
            task.cancel()
        if self.how == "enclosing scope":
            self.around.cancel()

    def judge(self) -> None:
        """Hold what was told against what ECS was asked for."""
        stopped = [request.task for name, request in self.port.asked if name == "StopTask"]
        asked = [one for name, request in self.port.asked if name == "StartTask" for one in request.container_instances]
        assert len(stopped) == len(set(stopped)), "nothing is stopped twice"
        said = {start.task.task_arn: start for start in self.starts if start.task is not None}
        later = {start.task.task_arn: start for start in self.heard if start.task is not None}
        for arn, start in said.items():
            if start.outcome is Outcome.STARTED:
                assert arn not in stopped, "it was said to run"
                assert later.get(arn, start).outcome is Outcome.STARTED
            elif start.outcome is Outcome.STOPPED:
                assert arn in stopped
            else:
                assert start.settles_by is not None
                assert later[arn].outcome in (Outcome.STARTED, Outcome.STOPPED)
        known = {*said, *later}
        assert len(known) == len(asked), "nothing is lost"


async def _single(of: Any, moment: Moment, requests: list[StartTaskRequest], **more: Any) -> None:
    answer = await of.start_task(requests[0], moment.source, **more)
    moment.starts += tuple(
        StartResult(request=requests[0], container_instance=HOSTS[0], outcome=Outcome.STARTED, task=task)
        for task in answer.tasks
    )


async def _client(moment: Moment, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    await _single(client, moment, requests)


async def _keyed(moment: Moment, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    await _single(client, moment, requests, idempotency_key="key")


async def _batch(moment: Moment, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    async with client.batch() as batch:
        await _single(batch, moment, requests)


async def _report(moment: Moment, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    moment.starts += (await client.start_tasks(requests, moment.source)).starts


async def _stream(moment: Moment, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    async with client.batch() as batch:
        async for start in batch.start_tasks(requests, moment.source):
            moment.starts += (start,)


WAYS: dict[str, Callable[[Moment, aioecs.Client, list[StartTaskRequest]], Awaitable[None]]] = {
    "client.start_task": _client,
    "keyed": _keyed,
    "batch.start_task": _batch,
    "start_tasks": _report,
    "batch.start_tasks": _stream,
}


async def one(way: str, how: str, on_cancel: Any, step: int, rng: random.Random) -> Moment:
    """Let one answer come, and cancel so many steps later."""
    told = Told(open_=False)
    moment = Moment(way, how, on_cancel)
    moment.port = ToldPort(start_task=told)
    async with told_client(
        moment.port, on_cancel=on_cancel, on_settled=lambda starts, _: moment.heard.extend(starts)
    ) as client:
        client._preparer.reconcilers[None] = cast("Any", ToldDesk())
        task = asyncio.ensure_future(moment.act(client))
        while not told.begun and not task.done():
            await asyncio.sleep(0.001)
        told.gate.set()
        await iterations(step)
        moment.cancel(task)
        await iterations(rng.randrange(3))
        if rng.random() < 0.2:
            moment.cancel(task)
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None
    return moment


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("on_cancel", ["stop", "keep"])
def test_no_word_becomes_untrue(way: str, how: str, on_cancel: str) -> None:
    """At each step around the answer, whatever the caller is told stays true."""

    async def main() -> None:
        rng = random.Random(f"{way} {how} {on_cancel}")
        for step in range(STEPS):
            (await one(way, how, on_cancel, step, rng)).judge()

    leaping(main())


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("how", ["token", "task"])
def test_what_was_not_yet_given_is_stopped(way: str, how: str) -> None:
    """A caller that is told of the cancel is told of no task that runs on, but of one that it was given before."""

    async def main() -> None:
        rng = random.Random(1)
        for step in range(STEPS):
            moment = await one(way, how, "stop", step, rng)
            if moment.cancelled and way != "batch.start_tasks":
                assert {start.outcome for start in moment.starts if start.task is not None} <= {
                    Outcome.STOPPED,
                    Outcome.UNKNOWN,
                }

    leaping(main())
