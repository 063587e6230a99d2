"""The facts about Amazon ECS that the library relies on: each with the ground for it, and what depends on it.

Grades: [model] read in botocore's service model, [docs] in AWS's documentation, [reported] in public issues or code,
[reasoned] an inference. None was tried on AWS by the authors.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import attrs

Grade = Literal["model", "docs", "reported", "reasoned"]


@attrs.frozen
class Fact:
    """A fact, as it is expected.

    depends: what in the library relies on it.
    either: the library is right in either case; the check is for information.
    """

    name: str
    claim: str
    grade: Grade
    depends: str
    either: bool = False


_FACTS = (
    Fact(
        "start.order",
        "The tasks of one StartTask may come in any order, and each names its instance",
        "reasoned",
        "Tasks are matched to the starts of a call by instance, repeats counted",
    ),
    Fact(
        "start.repeated",
        "An instance that is named twice gets two tasks",
        "reported",
        "Batches put several starts on one instance into one call",
    ),
    Fact(
        "start.mixed",
        "One answer with status 200 holds tasks and failures; an unknown instance is the failure MISSING",
        "reported",
        "One call may end STARTED for some of its starts and REFUSED for others",
    ),
    Fact(
        "start.no_capacity",
        "More CPU than an instance has is the failure RESOURCE:CPU",
        "reported",
        "Placement tries another instance, or waits for capacity",
    ),
    Fact(
        "start.eleven",
        "Eleven instances in one call are an InvalidParameterException, and start nothing",
        "model",
        "Batches put at most ten starts into a call",
    ),
    Fact(
        "start.long_started_by",
        "A startedBy of 37 characters is refused",
        "docs",
        "Tokens have at most 36 characters; longer values are refused before anything is sent",
    ),
    Fact(
        "describe.lag",
        "DescribeTasks shows a new task within 30 s; until then it is MISSING",
        "reported",
        "Timeouts.consistency; a wait takes MISSING right after a start for not visible yet",
    ),
    Fact(
        "list.lag",
        "ListTasks by startedBy shows a new task within 30 s",
        "docs",
        "Timeouts.consistency: before it has passed, an empty lookup proves nothing",
    ),
    Fact(
        "list.before_describe",
        "A task that ListTasks shows is known to DescribeTasks",
        "reasoned",
        "A lookup that can't describe what it listed is repeated",
        either=True,
    ),
    Fact(
        "list.started_by_stopped",
        "startedBy beside desiredStatus=STOPPED finds a stopped task",
        "reasoned",
        "Lookups of an ambiguous start; where it is refused or ignored, they list by instance, or all",
        either=True,
    ),
    Fact(
        "list.running_by_default",
        "Without desiredStatus, ListTasks leaves stopped tasks out",
        "model",
        "Lookups ask for RUNNING and for STOPPED",
    ),
    Fact(
        "list.only_filter",
        "startedBy beside family is refused",
        "model",
        "A lookup by startedBy uses no other filter",
    ),
    Fact(
        "list.stopped_by_instance",
        "containerInstance beside desiredStatus=STOPPED finds a stopped task",
        "model",
        "A lookup believes that nothing was started only after this list",
    ),
    Fact(
        "stop.reason",
        "A stopped task shows the reason that StopTask was given, and the stopCode UserInitiated",
        "model",
        "A task that aioecs stopped itself is not adopted: its stoppedReason says so",
    ),
    Fact(
        "stop.again",
        "StopTask of a stopped task is no error",
        "reasoned",
        "A StopTask without an answer is sent again",
    ),
    Fact(
        "stop.unknown",
        "StopTask of an unknown task is an InvalidParameterException",
        "reported",
        "stop_task raises it, and does not send again",
    ),
    Fact(
        "stop.retention",
        "A stopped task can be described for at least an hour",
        "model",
        "Waits, results, and the idempotency keys of StartTask",
    ),
    Fact(
        "run.replay",
        "RunTask with the same clientToken and members answers with the same tasks, and starts none",
        "docs",
        "An ambiguous RunTask is sent again; run_task(idempotency_key=)",
    ),
    Fact(
        "run.conflict",
        "The same clientToken with other members is a ConflictException that names the tasks",
        "model",
        "IdempotencyMismatch, with the ARNs of the tasks",
    ),
    Fact(
        "run.replay_stopped",
        "After the tasks have stopped, the same clientToken still answers with them",
        "docs",
        "A key finds what an earlier attempt started, stopped or not",
    ),
    Fact(
        "run.token_end",
        "An hour after the tasks have stopped, the clientToken starts new ones",
        "docs",
        "RunTask is looked up, and not sent again, once its token may have ended",
    ),
    Fact(
        "answer.request_id",
        "Answers and errors have the header x-amzn-RequestId",
        "docs",
        "request_id of answers and errors",
    ),
    Fact(
        "answer.unknown_cluster",
        "An unknown cluster is a ClusterNotFoundException with status 400",
        "model",
        "REFUSED, and never sent again",
    ),
    Fact(
        "answer.unknown_definition",
        "An unknown task definition is a ClientException with status 400",
        "reported",
        "REFUSED, and never sent again",
    ),
    Fact(
        "answer.no_instances",
        "No instance at all is an InvalidParameterException with status 400",
        "reported",
        "Refused before anything is sent",
    ),
    Fact(
        "answer.bad_key",
        "An unknown access key id is an UnrecognizedClientException with status 400",
        "reported",
        "The start is REFUSED, and not ambiguous: nothing was executed",
    ),
    Fact(
        "clock.skew",
        "The Date of answers is within 5 s of this machine's clock",
        "reasoned",
        "Worker(skew=5); signatures are valid for 300 s",
    ),
    Fact(
        "break.reset",
        "A connection that is reset before the answer is an error for the client, and leaves a task",
        "reasoned",
        "Such a start is ambiguous: it is looked up, and never sent again blindly",
    ),
    Fact(
        "break.disconnect",
        "A client that leaves after the last byte of its request leaves a task",
        "reasoned",
        "A cancelled start is looked up and stopped",
        either=True,
    ),
    Fact(
        "drain.refused",
        "StartTask on a DRAINING instance starts nothing",
        "reasoned",
        "Placement leaves DRAINING instances out",
        either=True,
    ),
    Fact(
        "rate.start_burst",
        "About 100 calls that change tasks are accepted at once",
        "docs",
        "The rate limiter's first burst; it learns another one",
    ),
    Fact(
        "rate.start_refill",
        "Then about 40 calls a second",
        "docs",
        "The rate limiter's first rate; it learns another one",
    ),
    Fact(
        "rate.read_burst",
        "About 100 reads are accepted at once",
        "docs",
        "The rate limiter of reads",
    ),
    Fact(
        "rate.read_refill",
        "Then about 20 reads a second",
        "docs",
        "The rate limiter of reads, and the poll schedule of waits",
    ),
    Fact(
        "rate.error",
        "A throttled call is a ThrottlingException with status 400",
        "docs",
        "It is sent again after a backoff: it was not executed",
    ),
)

FACTS: Mapping[str, Fact] = MappingProxyType({fact.name: fact for fact in _FACTS})
"""The facts by name, in the order of the table."""
