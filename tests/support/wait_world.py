"""What the tests of waiting share: an ECS in virtual time, and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import attrs
from run_world import told_client

import aioecs
from aioecs._model.attempt import Answered, Attempt, Rejected
from aioecs._model.codec.plain import from_plain, to_plain
from aioecs._model.codec.shape import Shape
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import service_error
from aioecs.testing import Behaviour, Engine, LocalTask

R = TypeVar("R", bound=Shape)


class EnginePort:
    """A port to the local ECS without a socket, on the loop's clock."""

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
        self.looks: list[tuple[float, list[str]]] = []
        """When each DescribeTasks came, and whom it asked for."""
        self.instead: Callable[[aioecs.DescribeTasksRequest], Attempt[Any] | None] | None = None
        """What DescribeTasks comes to, where it isn't the engine's answer."""

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Answer as the engine does."""
        sent_marker.body_started = True
        if isinstance(request, aioecs.DescribeTasksRequest):
            self.looks.append((asyncio.get_running_loop().time(), list(request.tasks)))
            if self.instead is not None and (what := self.instead(request)) is not None:
                return cast("Attempt[R]", what)
        answer = self.engine.answer(operation.name, to_plain(request))
        await asyncio.sleep(self.latency)
        if answer.error is not None:
            return Rejected(service_error(answer.error, answer.body["message"], status=answer.status))
        return Answered(from_plain(operation.answer, answer.body))

    def start(self, count: int = 1, *, definition: str = "demo", cluster: str = "default") -> list[str]:
        """Start so many tasks, and return their ARNs."""
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
        return sorted(arns, key=lambda arn: tasks[name(arn)].seq)  # answers come in any order

    def described(self, *arns: str) -> list[aioecs.Task]:
        """Describe tasks, uncounted."""
        answer = self.engine.call("DescribeTasks", {"tasks": list(arns)})
        found = {task["taskArn"]: from_plain(aioecs.Task, task) for task in answer["tasks"]}
        return [found[arn] for arn in arns]


@attrs.frozen
class World:
    """A client, and the ECS that it talks to."""

    client: aioecs.Client
    port: EnginePort

    @property
    def now(self) -> float:
        """The time, for both."""
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def waiting_world(*, client: dict[str, Any] | None = None, **port: Any) -> AsyncIterator[World]:
    """Open a client of an ECS in virtual time."""
    engine = EnginePort(**port)
    async with told_client(cast("Any", engine), **(client or {})) as opened:
        yield World(opened, engine)


def each(*seconds: float) -> Callable[[LocalTask], float]:
    """Give the tasks these seconds in the order of their starts, over and over."""
    given: dict[str, float] = {}
    return lambda task: given.setdefault(task.id, seconds[len(given) % len(seconds)])


def name(arn: str) -> str:
    """Return what errors and requests know a task by."""
    return arn.rpartition("/")[2]
