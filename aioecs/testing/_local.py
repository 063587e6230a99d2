"""LocalECS: the engine, its HTTP server, its faults and its `truth`, as one async context manager."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self, TypedDict

from aioecs.testing._engine import Engine
from aioecs.testing._faults import Fault, FaultScript
from aioecs.testing._operations.members import Json
from aioecs.testing._server import Server
from aioecs.testing._state.account import Behaviour, ExitCode, Seconds
from aioecs.testing._state.buckets import Throttle
from aioecs.testing._state.log_streams import Output
from aioecs.testing._state.truth import Truth


class ClientKwargs(TypedDict):
    """The arguments with which a boto3, aiobotocore or aioecs client reaches a local ECS.

    endpoint_url: where it listens.  region_name: its Region.
    aws_access_key_id, aws_secret_access_key: any values are accepted.
    """

    endpoint_url: str
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


_FARGATE_CLUSTER: Json = {
    "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
    "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
}
_FARGATE_DEFINITION: Json = {
    "network_mode": "awsvpc",
    "task_size": (256, 512),
    "requiresCompatibilities": ["FARGATE"],
}


class LocalECS:
    """A local Amazon ECS on loopback, for any AWS SDK and the AWS CLI.

    It enforces what ECS enforces, fails as scripted, and records what really happened::

        async with LocalECS(instances=3, faults=[Fault("reset", when="after")]) as local:
            client = session.create_client("ecs", **local.client_kwargs())
            ...
            assert local.truth.duplicates() == []

    cluster, clusters: one cluster with `instances` instances, or several: names with their numbers of instances.
        Each instance has `cpu` units and `memory` MiB. A task definition `demo:1` (container `main`, 10 units, 10 MiB)
        is registered.
    fargate: clusters have the capacity providers FARGATE and FARGATE_SPOT, the first by default, and `demo:1` fits
        Fargate (256 units, 512 MiB, awsvpc).  task_definitions: requests of RegisterTaskDefinition, registered too;
        one of the family `demo` takes the place of `demo:1`.
    region, account_id, partition: of its ARNs.
    host, port: where it listens, by default reachable from this machine only; port 0 chooses a free one.
    hosts: accepted names in the Host header, beside addresses, localhost and `host`; others are refused.
    ssl_context: serve TLS with it.
    clock: epoch seconds, for task lifecycles, lags and buckets.  seed: for ids, orders and the faults' `chance`.
    throttle: buckets by category, None for none, "documented" for the published ones (see `Bucket`, `Buckets`).
    expired_keys: access key ids that get ExpiredTokenException.  denied: operations that get AccessDeniedException.
    The other parameters are those of `Behaviour`; assign `engine.behaviour` to change them later. Times are in seconds.

    Leaving the block ends every connection, task and socket. It can be entered once.

    Raises:
        ValueError: a setting can't be, or would have no effect, such as an operation in `denied` that there is not.
        LocalECSError: on entering, if it can't listen on the address (an OSError).
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
        output: Output | None = None,
    ) -> None:
        self.region = region
        self.engine: Engine = Engine(
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
                output=output,
            ),
        )
        self.faults: FaultScript = FaultScript(faults, seed=seed)
        self._cluster = next(iter(clusters)) if clusters else cluster
        self._address = (host, port)
        self._hosts = (host, *hosts)
        self._tls = ssl_context
        self._server: Server | None = None
        self._clock = clock or time.time
        self._closed = False
        self._listeners: dict[asyncio.Event, Callable[[], None]] = {}
        for name, count in (clusters or {cluster: instances}).items():
            self.engine.add_cluster(name, **(_FARGATE_CLUSTER if fargate else {}))
            self.engine.add_instances(count, cluster=name, cpu=cpu, memory=memory)
        self._register(tuple(task_definitions), fargate=fargate)

    def _register(self, definitions: Sequence[Json], *, fargate: bool) -> None:
        """Register the task definitions, and `demo` unless it is among them."""
        if all(definition.get("family") != "demo" for definition in definitions):
            self.engine.add_task_definition("demo", **(_FARGATE_DEFINITION if fargate else {}))
        for definition in definitions:
            self.engine.call("RegisterTaskDefinition", definition)

    @property
    def truth(self) -> Truth:
        """What really happened, whatever responses the callers received."""
        return self.engine.truth

    @property
    def instance_arns(self) -> list[str]:
        """The container instances of the first cluster, in order of registering."""
        return self.engine.instance_arns(self._cluster)

    @property
    def port(self) -> int:
        """The port it listens on; before the block is entered, the requested one."""
        return self._address[1]

    @property
    def endpoint_url(self) -> str:
        """The URL to send requests to.

        Raises:
            RuntimeError: the block has not been entered.
        """
        if self._server is None:
            raise RuntimeError("LocalECS is not serving: use it in `async with LocalECS(...) as local`")
        host, port = self._address
        return f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    def client_kwargs(self) -> ClientKwargs:
        """Return the arguments with which a boto3, aiobotocore or aioecs client reaches it, credentials included."""
        return {
            "endpoint_url": self.endpoint_url,
            "region_name": self.region,
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
        }

    def events(self) -> AsyncGenerator[Json]:
        """Iterate over EventBridge's "ECS Task State Change" events, from this call on, until the block is left.

        Each event is delivered once, in order, when it happens: while somebody iterates, task changes take place
        without a request. With a custom `clock` that jumps forward, they take place at the next request.
        """
        queue: deque[Json] = deque()
        wake = asyncio.Event()

        def listener(event: Json) -> None:
            queue.append(event)
            wake.set()

        self._listeners[wake] = self.engine.listen(listener)
        return self._iterate_events(queue, wake)

    async def _iterate_events(self, queue: deque[Json], wake: asyncio.Event) -> AsyncGenerator[Json]:
        try:
            while True:
                due = self.engine.advance()
                while queue:
                    yield queue.popleft()
                if self._closed:
                    return
                wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                        await wake.wait()
        finally:
            self._listeners.pop(wake)()

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise RuntimeError("LocalECS can be entered only once")
        server = Server(self.engine, self.faults, self._hosts)
        self._address = await server.open(*self._address, self._tls)
        self._server = server
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = True
        for wake in self._listeners:
            wake.set()
        if self._server is not None:
            await self._server.close()

    def __repr__(self) -> str:
        where = self.endpoint_url if self._server is not None else "not serving"
        return f"<LocalECS {where}, {self.truth!r}, {len(self.faults)} faults>"
