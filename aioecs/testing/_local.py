"""LocalECS: the engine, its server, its faults and its truth, as one async context manager."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self, TypedDict

from aioecs.testing._engine import Engine
from aioecs.testing._faults import Fault, FaultScript
from aioecs.testing._operations.members import Json
from aioecs.testing._server import Server
from aioecs.testing._world.buckets import Throttle
from aioecs.testing._world.truth import Truth
from aioecs.testing._world.world import Behaviour, ExitCode, Seconds


class ClientKwargs(TypedDict):
    """What any boto3, aiobotocore or aioecs client takes to reach a local ECS.

    endpoint_url: where it listens.  region_name: what it says it is.
    aws_access_key_id, aws_secret_access_key: any are good.
    """

    endpoint_url: str
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


_WITH_FARGATE: Json = {
    "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
    "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
}
_FOR_FARGATE: Json = {
    "network_mode": "awsvpc",
    "task_size": (256, 512),
    "requiresCompatibilities": ["FARGATE"],
}


class LocalECS:
    """An honest Amazon ECS on loopback, for any AWS SDK or the AWS CLI.

    It enforces what ECS enforces, breaks as it is told to, and keeps the truth::

        async with LocalECS(instances=3, faults=[Fault("reset", when="after")]) as local:
            client = session.create_client("ecs", **local.client_kwargs())
            ...
            assert local.truth.duplicates() == []

    cluster, clusters: one cluster of `instances` instances, or any number by name with their numbers of instances.
        Each instance has `cpu` units and `memory` MiB. A task definition `demo:1` (container `main`, 10 units, 10 MiB)
        is registered.
    fargate: clusters have the capacity providers FARGATE and FARGATE_SPOT, the first by default, and `demo:1` is one
        for Fargate (256 units, 512 MiB, awsvpc).  task_definitions: requests of RegisterTaskDefinition, registered too.
    region, account_id, partition: of its ARNs.
    host, port: where it listens, by default for this machine alone; port 0 takes a free one.
    hosts: names by which requests may call it, beside addresses, localhost and `host`; others are refused.
    ssl_context: serve TLS with it.
    clock: epoch seconds, for the life of tasks, lags and buckets.  seed: of ids, orders and the faults' chances.
    throttle: buckets by category, None for none, "documented" for the published ones (see `Bucket`, `Buckets`).
    expired_keys: access key ids that get ExpiredTokenException.  denied: operations that get AccessDeniedException.
    The other parameters are those of `Behaviour`; `engine.behaviour` changes them later. Times are in seconds.

    Leaving it ends every connection and leaves nothing behind: no task, no socket. It can be entered once.

    Raises:
        LocalECSError: on entering, when it can't listen there (an OSError).
    """

    def __init__(
        self,
        *,
        cluster: str = "default",
        clusters: Mapping[str, int] | None = None,
        instances: int = 3,
        cpu: int = 4096,
        memory: int = 16384,
        fargate: bool = False,
        task_definitions: Iterable[Json] = (),
        region: str = "us-east-1",
        account_id: str = "123456789012",
        partition: str = "aws",
        host: str = "127.0.0.1",
        port: int = 0,
        hosts: Iterable[str] = (),
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] | None = None,
        seed: int = 0,
        faults: Iterable[Fault] = (),
        throttle: Throttle = None,
        expired_keys: Iterable[str] = (),
        denied: Iterable[str] = (),
        provisioning_seconds: Seconds = 0.0,
        pending_seconds: Seconds = 0.0,
        running_seconds: Seconds = None,
        stopping_seconds: Seconds = 0.0,
        exit_code: ExitCode = 0,
        visibility_lag: float = 0.0,
        describe_lag: float | None = None,
        started_by_with_status: Literal["allow", "reject", "ignore"] = "allow",
        draining: Literal["refuse", "accept"] = "refuse",
        disguise_throttle: bool = False,
        fargate_tasks: int | None = None,
    ) -> None:
        self.region = region
        self.engine = Engine(
            region=region,
            account_id=account_id,
            partition=partition,
            clock=clock or time.time,
            seed=seed,
            throttle=throttle,
            expired_keys=expired_keys,
            denied=denied,
            behaviour=Behaviour(
                provisioning_seconds=provisioning_seconds,
                pending_seconds=pending_seconds,
                running_seconds=running_seconds,
                stopping_seconds=stopping_seconds,
                exit_code=exit_code,
                visibility_lag=visibility_lag,
                describe_lag=describe_lag,
                started_by_with_status=started_by_with_status,
                draining=draining,
                disguise_throttle=disguise_throttle,
                fargate_tasks=fargate_tasks,
            ),
        )
        self.faults = FaultScript(faults, seed=seed)
        self._cluster = next(iter(clusters)) if clusters else cluster
        self._address = (host, port)
        self._names = (host, *hosts)
        self._tls = ssl_context
        self._server: Server | None = None
        self._clock = clock or time.time
        self._left = False
        self._listening: dict[asyncio.Event, Callable[[], None]] = {}
        for name, count in (clusters or {cluster: instances}).items():
            self.engine.add_cluster(name, **(_WITH_FARGATE if fargate else {}))
            self.engine.add_instances(count, cluster=name, cpu=cpu, memory=memory)
        self.engine.add_task_definition("demo", **(_FOR_FARGATE if fargate else {}))
        for definition in task_definitions:
            self.engine.call("RegisterTaskDefinition", definition)

    @property
    def truth(self) -> Truth:
        """What really happened, whatever the callers were told."""
        return self.engine.truth

    @property
    def instance_arns(self) -> list[str]:
        """The container instances of the first cluster, in order of registering."""
        return self.engine.instance_arns(self._cluster)

    @property
    def port(self) -> int:
        """The port it listens on; the one asked for until it has been entered."""
        return self._address[1]

    @property
    def endpoint_url(self) -> str:
        """Where to send requests.

        Raises:
            RuntimeError: it has not been entered.
        """
        if self._server is None:
            raise RuntimeError("LocalECS is not serving: use it in `async with LocalECS(...) as local`")
        host, port = self._address
        return f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    def client_kwargs(self) -> ClientKwargs:
        """Give what any boto3 or aiobotocore client takes to talk to it, credentials included."""
        return {
            "endpoint_url": self.endpoint_url,
            "region_name": self.region,
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
        }

    def events(self) -> AsyncGenerator[Json]:
        """Iterate over EventBridge's "ECS Task State Change" events, from this call on, until the local ECS is left.

        Each comes once, in order, when it happens: while somebody iterates, a task's steps need no request to be
        noticed. With a `clock` of your own that leaps, they are noticed at the next request.
        """
        queue: deque[Json] = deque()
        heard = asyncio.Event()

        def listener(event: Json) -> None:
            queue.append(event)
            heard.set()

        self._listening[heard] = self.engine.listen(listener)
        return self._told(queue, heard)

    async def _told(self, queue: deque[Json], heard: asyncio.Event) -> AsyncGenerator[Json]:
        try:
            while True:
                due = self.engine.advance()
                while queue:
                    yield queue.popleft()
                if self._left:
                    return
                heard.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                        await heard.wait()
        finally:
            self._listening.pop(heard)()

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise RuntimeError("LocalECS can be entered only once")
        server = Server(self.engine, self.faults, self._names)
        self._address = await server.open(*self._address, self._tls)
        self._server = server
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left = True
        for heard in self._listening:
            heard.set()
        if self._server is not None:
            await self._server.close()

    def __repr__(self) -> str:
        where = self.endpoint_url if self._server is not None else "not serving"
        return f"<LocalECS {where}, {self.truth!r}, {len(self.faults)} faults>"
