"""Errors by code and status, request ids, and the clock."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from aioecs.conformance._calls import Answer, Blocked, send_once, single_attempts
from aioecs.conformance._context import Context

_SKEW = 5.0  # seconds, as Worker(skew=)
_NOWHERE = "aioecs-check-no-such"


async def errors(context: Context) -> None:
    """Send requests that ECS refuses, and look at codes, statuses and request ids."""
    answers = [await context.call("list_tasks")]
    for name, code, members in (
        ("answer.unknown_cluster", "ClusterNotFoundException", {"cluster": _NOWHERE}),
        ("answer.unknown_definition", "ClientException", {"taskDefinition": _NOWHERE}),
    ):
        answers.append(await context.start([context.setup.instances[0]], **members))
        context.add_finding(name, (answers[-1].error, answers[-1].status) == (code, 400), str(answers[-1]))
    answers.append(await context.start([]))
    refused = (answers[-1].error, answers[-1].status) == ("InvalidParameterException", 400)
    context.add_finding("answer.no_instances", refused, str(answers[-1]))
    ids = {answer.headers.get("x-amzn-requestid") for answer in answers} - {None, ""}
    context.add_finding(
        "answer.request_id", len(ids) == len(answers), f"{len(ids)} different ones in {len(answers)} answers"
    )


async def clock(context: Context) -> None:
    """Compare the Date of an answer, which is in whole seconds, with this machine's clock."""
    before = time.time()
    answer = await context.call("list_tasks")
    skew = _skew(answer, before, time.time())
    seen = f"this machine is {abs(skew):.1f} s {'behind' if skew > 0 else 'ahead'}" if skew else "no difference"
    context.add_finding("clock.skew", abs(skew) <= _SKEW, f"{seen}, to the second")


def _skew(answer: Answer, before: float, after: float) -> float:
    """Return how far ECS's clock is ahead of this machine's, as far as it is certain."""
    if "date" not in answer.headers:
        raise Blocked("the answer has no Date")
    date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    return max(0.0, date - after) or min(0.0, date + 1 - before)


async def bad_key(context: Context) -> None:
    """Sign a read with a key that doesn't exist."""
    key = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "not-a-secret"}
    async with context.connect(config=single_attempts(), **key) as ecs:
        answer = await send_once(ecs, "list_tasks", cluster=context.setup.cluster)
    context.add_finding(
        "answer.bad_key", (answer.error, answer.status) == ("UnrecognizedClientException", 400), str(answer)
    )
