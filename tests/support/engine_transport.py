"""A transport to the engine of the local ECS in virtual time, and a client on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import attrs
from fake_transport import fake_client

import aioecs
from aioecs._model.attempt import Answered, Attempt, Rejected
from aioecs._model.codec.plain import from_plain, to_plain
from aioecs._model.codec.shape import Shape
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import service_error
from aioecs.testing import Behaviour, Engine, LocalTask

R = TypeVar("R", bound=Shape)


class EngineTransport:
    """A transport to the engine of the local ECS, without a socket, on the loop's clock."""

    kind = "engine"
    endpoint_url = "http://engine"
    region = "us-east-1"
    partition = "aws"

    def __init__(self, *, latency: float = 0.01, denied: tuple[str, ...] = (), **behaviour: Any) -> None:
        loop = asyncio.get_running_loop()
        self.engine = Engine(clock=loop.time, behaviour=Behaviour(**behaviour), denied=denied)
        self.engine.add_cluster("default")
        self.engine.add_instances(1, cpu=10**7, memory=10**7)
        self.engine.add_task_definition("demo")
        self.engine.add_task_definition("broken", fails_to_start="CannotPullContainerError: no such image")
        self.latency = latency
        self.rate_limit_key = self
        self.describes: list[tuple[float, list[str]]] = []
        """The time of each DescribeTasks, and the tasks that it named."""
        self.override: Callable[[aioecs.DescribeTasksRequest], Attempt[Any] | None] | None = None
        """Returns the attempt of a DescribeTasks, or None for the engine's answer."""

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Answer with the engine's answer."""
        sent_marker.body_started = True
        if isinstance(request, aioecs.DescribeTasksRequest):
            self.describes.append((asyncio.get_running_loop().time(), list(request.tasks)))
            if self.override is not None and (attempt := self.override(request)) is not None:
                return cast("Attempt[R]", attempt)
        answer = self.engine.answer(operation.name, to_plain(request))
        await asyncio.sleep(self.latency)
        if answer.error is not None:
            return Rejected(service_error(answer.error, answer.body["message"], status=answer.status))
        return Answered(from_plain(operation.answer, answer.body))

    def start(self, count: int = 1, *, definition: str = "demo", cluster: str = "default") -> list[str]:
        """Start this many tasks, and return their ARNs in order of starting."""
        arns: list[str] = []
        (instance, *_) = self.engine.instance_arns(cluster)
        while len(arns) < count:
            wanted = min(10, count - len(arns))
            answer = self.engine.call(
                "StartTask",
                {"cluster": cluster, "taskDefinition": definition, "containerInstances": [instance] * wanted},
            )
            arns += [task["taskArn"] for task in answer["tasks"]]
        tasks = self.engine._account.clusters[cluster].tasks
        return sorted(arns, key=lambda arn: tasks[task_id(arn)].seq)  # answers come in any order

    def described(self, *arns: str) -> list[aioecs.Task]:
        """Describe tasks, without an entry in `describes`."""
        answer = self.engine.call("DescribeTasks", {"tasks": list(arns)})
        found = {task["taskArn"]: from_plain(aioecs.Task, task) for task in answer["tasks"]}
        return [found[arn] for arn in arns]


@attrs.frozen
class EngineSetup:
    """A client, and its transport to the engine."""

    client: aioecs.Client
    transport: EngineTransport

    @property
    def now(self) -> float:
        """The time of the loop, for both."""
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def engine_client(*, client: dict[str, Any] | None = None, **transport: Any) -> AsyncIterator[EngineSetup]:
    """Open a client on the engine in virtual time."""
    engine = EngineTransport(**transport)
    async with fake_client(cast("Any", engine), **(client or {})) as opened:
        yield EngineSetup(opened, engine)


def seconds_by_task(*seconds: float) -> Callable[[LocalTask], float]:
    """Return a function that gives tasks these seconds in the order of their starts, in turn."""
    given: dict[str, float] = {}
    return lambda task: given.setdefault(task.id, seconds[len(given) % len(seconds)])


def task_id(arn: str) -> str:
    """Return the id in a task's ARN."""
    return arn.rpartition("/")[2]
