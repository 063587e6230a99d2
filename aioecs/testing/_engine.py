"""The engine of the local ECS: operations on plain JSON objects, without a socket, a timer or a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import attrs

from aioecs.testing._errors import AwsError
from aioecs.testing._operations import admin, clusters, families, instances, reads, starts
from aioecs.testing._operations.members import Json
from aioecs.testing._placement import providers
from aioecs.testing._world.arns import Arns
from aioecs.testing._world.buckets import Buckets, Throttle
from aioecs.testing._world.controls import Controls
from aioecs.testing._world.events import Listener
from aioecs.testing._world.truth import Truth
from aioecs.testing._world.world import Behaviour, World

Operation = Callable[[World, Json, float, int], Json]

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "StartTask": starts.start_task,
        "RunTask": starts.run_task,
        "StopTask": starts.stop_task,
        "ListTasks": reads.list_tasks,
        "DescribeTasks": reads.describe_tasks,
        "ListContainerInstances": reads.list_container_instances,
        "DescribeContainerInstances": reads.describe_container_instances,
        "RegisterContainerInstance": instances.register,
        "DeregisterContainerInstance": instances.deregister,
        "PutAttributes": instances.put_attributes,
        "DeleteAttributes": instances.delete_attributes,
        "ListAttributes": instances.list_attributes,
        "DeregisterTaskDefinition": families.deregister_task_definition,
        "DeleteTaskDefinitions": families.delete_task_definitions,
        "ListTaskDefinitions": families.list_task_definitions,
        "ListTaskDefinitionFamilies": families.list_task_definition_families,
        "CreateCapacityProvider": providers.create_capacity_provider,
        "DescribeCapacityProviders": providers.describe_capacity_providers,
        "DeleteCapacityProvider": providers.delete_capacity_provider,
        "ExecuteCommand": admin.execute_command,
        "UntagResource": admin.untag_resource,
        "DescribeTaskDefinition": reads.describe_task_definition,
        "RegisterTaskDefinition": admin.register_task_definition,
        "CreateCluster": admin.create_cluster,
        "UpdateCluster": clusters.update_cluster,
        "UpdateClusterSettings": clusters.update_cluster_settings,
        "PutClusterCapacityProviders": clusters.put_cluster_capacity_providers,
        "DeleteCluster": clusters.delete_cluster,
        "DescribeClusters": admin.describe_clusters,
        "ListClusters": admin.list_clusters,
        "UpdateContainerInstancesState": admin.update_container_instances_state,
        "TagResource": admin.tag_resource,
        "ListTagsForResource": admin.list_tags_for_resource,
    }
)
"""What the engine can do, by the operation's name."""
LEFT_OUT = ("Service", "TaskSet")
"""What it says of operations with these words in their names: that it has no such thing."""


@attrs.frozen
class Answer:
    """What a request came to: the HTTP status, the JSON body, the error's code if it is one, and the call's number."""

    status: int
    body: Json
    error: str | None
    call: int


class Engine(Controls):
    """A pure, synchronous ECS: one account in one Region.

    `call` takes a request as a JSON object and returns the answer as one, or raises AwsError. Time comes from `clock`
    (epoch seconds), ids and orders from dice seeded with `seed`: the same calls at the same times give the same
    answers. The clock must not be moved back.

    behaviour: see `Behaviour`; may be replaced during a run.  buckets: the token buckets; `buckets.set` replaces them.
    expired_keys: access key ids that get ExpiredTokenException.  denied: operations that get AccessDeniedException.
    truth: what really happened.
    """

    def __init__(
        self,
        *,
        region: str = "us-east-1",
        account_id: str = "123456789012",
        partition: str = "aws",
        clock: Callable[[], float] = time.time,
        seed: int = 0,
        behaviour: Behaviour | None = None,
        throttle: Throttle = None,
        expired_keys: Iterable[str] = (),
        denied: Iterable[str] = (),
    ) -> None:
        super().__init__(World(Arns(partition, region, account_id), clock, seed, behaviour or Behaviour()))
        self._world.ledger.refresh = self._refresh
        self.buckets = Buckets(throttle)
        self.expired_keys = set(expired_keys)
        self.denied = set(denied)
        self.truth = Truth(self._world.ledger)

    @property
    def behaviour(self) -> Behaviour:
        """How this ECS behaves; assign another one (`attrs.evolve`) to change it from the next request on."""
        return self._world.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._world.behaviour = behaviour

    def call(self, operation: str, request: Json | None = None, *, access_key: str | None = None) -> Json:
        """Carry out one request. Keep the returned object as it is: parts of it may belong to the engine.

        Raises:
            AwsError: ECS would answer with an error.
        """
        answer = self.answer(operation, request or {}, access_key=access_key)
        if answer.error is not None:
            members = {name: value for name, value in answer.body.items() if name not in ("__type", "message")}
            raise AwsError(answer.error, answer.body["message"], answer.status, members)
        return answer.body

    def answer(
        self, operation: str, request: Json, *, access_key: str | None = None, fault: str | None = None
    ) -> Answer:
        """Carry out one request and write it down in the truth; an error is an answer too."""
        now = self._world.advance()
        number = self._world.ledger.arrived(operation, request, now, fault)
        try:
            execute = self._admit(operation, access_key, now)
            self._world.ledger.settled(number, executed=True)
            body = execute(self._world, request, now, number)
        except AwsError as error:
            self._world.ledger.settled(number, error=error.code, answered=True)
            self._world.ledger.ended(number)
            return Answer(error.status, error.body(), error.code, number)
        self._settle(number, body)
        return Answer(200, body, None, number)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(event)` with an "ECS Task State Change" for each change of a task; return what ends that.

        Nothing here waits: what is due happens, and is told, when a request comes or `advance` is called.
        """
        return self._world.bus.listen(listener)

    def advance(self) -> float | None:
        """Carry out what is due by now; return when the next step is due, in epoch seconds, None if none is."""
        self._world.advance()
        return self._world.next_due

    def turned_away(self, operation: str, request: Json, fault: str) -> int:
        """Write down a call that a fault kept from taking effect; return its number."""
        number = self._world.ledger.arrived(operation, request, self._world.clock(), fault)
        self._world.ledger.ended(number)
        return number

    def count_throttle(self, operation: str) -> None:
        """Count a request that a fault throttled."""
        self._world.ledger.throttled[operation] += 1

    def lost(self, call: int) -> None:
        """Write down that the answer to a call did not get out."""
        self._world.ledger.settled(call, answered=False)

    def _settle(self, number: int, body: Json) -> None:
        if number:
            failures = tuple((each.get("arn", ""), each["reason"]) for each in body.get("failures", ()))
            self._world.ledger.settled(number, failures=failures, answered=True)
            self._world.ledger.ended(number)

    def _admit(self, operation: str, access_key: str | None, now: float) -> Operation:
        """Let a request through to its operation: known, signed with a good key, not throttled, allowed."""
        execute = OPERATIONS.get(operation)
        if execute is None and any(name in operation for name in LEFT_OUT):
            raise AwsError(
                "UnsupportedFeatureException", f"{operation}: the local ECS has no services and no task sets."
            )
        if execute is None:
            raise AwsError("UnknownOperationException", f"Operation {operation} is not known to the local ECS.")
        if access_key in self.expired_keys:
            raise AwsError("ExpiredTokenException", "The security token included in the request is expired")
        if not self.buckets.take(operation, now):
            self.count_throttle(operation)
            raise throttled(disguised=self.behaviour.disguise_throttle)
        if operation in self.denied:
            arns = self._world.arns
            raise AwsError(
                "AccessDeniedException",
                f"User: arn:{arns.partition}:iam::{arns.account_id}:user/local is not authorized to perform: "
                f"ecs:{operation} because no identity-based policy allows the ecs:{operation} action",
            )
        return execute

    def _refresh(self) -> None:
        self._world.advance()


def throttled(*, disguised: bool) -> AwsError:
    """Make the answer to an empty bucket; the disguise is [reported] in dagster-io/dagster#33439."""
    if disguised:
        return AwsError(
            "InvalidParameterException",
            "Error retrieving security group information: Rate exceeded "
            "(Service: AmazonEC2; Status Code: 400; Error Code: ThrottlingException)",
        )
    return AwsError("ThrottlingException", "Rate exceeded")
