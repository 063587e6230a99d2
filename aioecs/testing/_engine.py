"""The engine of the local ECS: operations on plain JSON objects, without sockets and timers; the clock is passed in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import attrs

from aioecs.testing._errors import AwsError
from aioecs.testing._operations import admin, clusters, families, instances, logs, reads, starts
from aioecs.testing._operations.members import Json
from aioecs.testing._placement import providers
from aioecs.testing._state.account import Account, Behaviour
from aioecs.testing._state.arns import Arns
from aioecs.testing._state.buckets import Buckets, Throttle
from aioecs.testing._state.controls import Controls
from aioecs.testing._state.events import Listener
from aioecs.testing._state.truth import Truth

Operation = Callable[[Account, Json, float, int], Json]

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "StartTask": starts.start_task,
        "RunTask": starts.run_task,
        "StopTask": starts.stop_task,
        "ListTasks": reads.list_tasks,
        "DescribeTasks": reads.describe_tasks,
        "ListContainerInstances": reads.list_container_instances,
        "DescribeContainerInstances": reads.describe_container_instances,
        "GetLogEvents": logs.get_log_events,
        "FilterLogEvents": logs.filter_log_events,
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
"""The implemented operations by name."""
UNSUPPORTED = ("Service", "TaskSet")
"""Operations with these terms in their names answer UnsupportedFeatureException."""


@attrs.frozen
class Answer:
    """The response to a request: HTTP status, JSON body, error code (None on success), and the number of the call."""

    status: int
    body: Json
    error: str | None
    call: int


class Engine(Controls):
    """A pure, synchronous ECS: one account in one Region.

    `call` takes a request as a JSON object and returns the response as one, or raises AwsError. Time comes from `clock`
    (epoch seconds), ids and orders from a random generator seeded with `seed`: the same calls at the same times give
    the same responses. The clock must not go back.

    behaviour: see `Behaviour`; may be replaced at any time.  buckets: the token buckets; `buckets.set` replaces them.
    expired_keys: access key ids that get ExpiredTokenException.  denied: operations that get AccessDeniedException.
    truth: what really happened.

    Raises:
        ValueError: a setting would have no effect, such as an operation in `denied` that there is not.
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
        super().__init__(Account(Arns(partition, region, account_id), clock, seed, behaviour or Behaviour()))
        self._account.history.refresh = self._refresh
        self.buckets: Buckets = Buckets(throttle)
        self.expired_keys: set[str] = _names(expired_keys, "expired_keys")
        self.denied: set[str] = _names(denied, "denied")
        for name in sorted(self.denied - OPERATIONS.keys()):
            raise ValueError(f"denied: {name!r} is no operation of the local ECS")
        self.truth: Truth = Truth(self._account.history)

    @property
    def behaviour(self) -> Behaviour:
        """How this ECS behaves; assign another value (`attrs.evolve`) to change it from the next request on."""
        return self._account.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._account.behaviour = behaviour

    def call(self, operation: str, request: Json | None = None, *, access_key: str | None = None) -> Json:
        """Execute one request. Don't modify the returned object: parts of it may belong to the engine.

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
        """Execute one request and record it in `truth`; an error is returned as an answer too."""
        now = self._account.advance()
        number = self._account.history.call_arrived(operation, request, now, fault)
        try:
            execute = self._operation_for(operation, access_key, now)
            self._account.history.amend_call(number, executed=True)
            body = execute(self._account, request, now, number)
        except AwsError as error:
            self._account.history.amend_call(number, error=error.code, answered=True)
            self._account.history.call_ended(number)
            return Answer(error.status, error.body(), error.code, number)
        self._record_answer(number, body)
        return Answer(200, body, None, number)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(event)` with an "ECS Task State Change" for each change of a task; return a function to stop.

        The engine has no timer: changes that are due happen, and are reported, at a request or a call of `advance`.
        """
        return self._account.event_bus.listen(listener)

    def advance(self) -> float | None:
        """Execute the steps that are due; return when the next one is due, in epoch seconds, or None."""
        self._account.advance()
        return self._account.next_due

    def record_not_executed(self, operation: str, request: Json, fault: str) -> int:
        """Record a call that a fault kept from taking effect; return its number."""
        number = self._account.history.call_arrived(operation, request, self._account.clock(), fault)
        self._account.history.call_ended(number)
        return number

    def count_throttle(self, operation: str) -> None:
        """Count a request that a fault throttled."""
        self._account.history.throttled[operation] += 1

    def record_unanswered(self, call: int) -> None:
        """Record that the answer to a call was not sent."""
        self._account.history.amend_call(call, answered=False)

    def _record_answer(self, number: int, body: Json) -> None:
        if number:
            failures = tuple((each.get("arn", ""), each["reason"]) for each in body.get("failures", ()))
            self._account.history.amend_call(number, failures=failures, answered=True)
            self._account.history.call_ended(number)

    def _operation_for(self, operation: str, access_key: str | None, now: float) -> Operation:
        """Return the function of an operation, unless it is unknown, its key expired, it is throttled or denied."""
        execute = OPERATIONS.get(operation)
        if execute is None and any(name in operation for name in UNSUPPORTED):
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
            arns = self._account.arns
            raise AwsError(
                "AccessDeniedException",
                f"User: arn:{arns.partition}:iam::{arns.account_id}:user/local is not authorized to perform: "
                f"ecs:{operation} because no identity-based policy allows the ecs:{operation} action",
            )
        return execute

    def _refresh(self) -> None:
        self._account.advance()


def _names(given: Iterable[str], setting: str) -> set[str]:
    if isinstance(given, str):
        raise ValueError(f"{setting}: a list of names, not {given!r}")
    return set(given)


def throttled(*, disguised: bool) -> AwsError:
    """Return the error for an empty bucket; the disguised form is [reported] in dagster-io/dagster#33439."""
    if disguised:
        return AwsError(
            "InvalidParameterException",
            "Error retrieving security group information: Rate exceeded "
            "(Service: AmazonEC2; Status Code: 400; Error Code: ThrottlingException)",
        )
    return AwsError("ThrottlingException", "Rate exceeded")
