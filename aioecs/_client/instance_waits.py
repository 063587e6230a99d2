"""Waiting for capacity: until a cluster has so many container instances that take tasks."""

from __future__ import annotations

import anyio

from aioecs._calls.caller_wait import cancelled_around
from aioecs._client.operations import Operations
from aioecs._model import limits
from aioecs._model.shapes.container_instance import (
    ContainerInstance,
    DescribeContainerInstancesRequest,
    ListContainerInstancesRequest,
)
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, expect, fired, reason_of
from aioecs.errors import WaitCancelled, WaitTimeout

INTERVAL = 2.0
"""Between two polls of a cluster, in seconds."""


class InstanceWaits(Operations):
    """What a client can wait for of clusters."""

    async def wait_for_instances(
        self,
        cluster: str,
        count: int,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None,
    ) -> list[ContainerInstance]:
        """Wait until a cluster has `count` container instances that take tasks; return all that do.

        Those are ACTIVE, and their agent is connected. The cluster is listed and described every two seconds.
        `timeout` is in seconds; None waits as long as it takes. Waiting changes nothing.

        Raises:
            InvalidRequest: an argument is not what it must be.
            WaitTimeout: a TimeoutError; its message says how many there are.
            WaitCancelled: the scope or token fired.
            ECSServiceError: ECS refuses to list or describe them.
            ClientStateError: the client was closed meanwhile.
        """
        core = self._core()
        expect(cancel_scope)
        limits.positive(count, "count")
        ends = None if timeout is None else core.now + limits.not_negative(timeout, "timeout")
        with (
            anyio.CancelScope() as waiting,
            CancellationMonitor.here().watch(cancel_scope, waiting.cancel),
            core.caller_waits.until_closed(f"during the wait for container instances of {cluster}"),
        ):
            while cancel_scope is None or not fired(cancel_scope):
                found = await self._that_take_tasks(cluster)
                if len(found) >= count:
                    return found
                if ends is not None and core.now >= ends:
                    text = f"{len(found)} of {count} container instances of {cluster} take tasks after {timeout:g} s"
                    raise WaitTimeout(text)
                await anyio.sleep(INTERVAL if ends is None else max(0.0, min(INTERVAL, ends - core.now)))
        error = WaitCancelled(
            f"the wait for container instances of {cluster} was cancelled",
            reason=reason_of(cancel_scope),
            source=cancel_scope,
        )
        if (around := await cancelled_around()) is not None:
            raise around from error
        raise error

    async def _that_take_tasks(self, cluster: str) -> list[ContainerInstance]:
        listed = await self.list_container_instances(ListContainerInstancesRequest(cluster=cluster, status="ACTIVE"))
        if not listed.container_instance_arns:
            return []
        request = DescribeContainerInstancesRequest(cluster=cluster, container_instances=listed.container_instance_arns)
        described = await self.describe_container_instances(request)
        return [each for each in described.container_instances if each.agent_connected and each.status == "ACTIVE"]
