"""How soon a new task is visible in DescribeTasks and in ListTasks."""

from __future__ import annotations

import time
from collections import Counter

import attrs

from aioecs.conformance._calls import together
from aioecs.conformance._context import Context
from aioecs.conformance._report import spread

_TASKS = 10


@attrs.define
class _Lags:
    """What was seen of new tasks.

    described, listed: after how many seconds each was visible.  reasons: of failures of DescribeTasks.
    unknown: how many DescribeTasks did not know when ListTasks had shown them.
    """

    described: list[float] = attrs.field(factory=list[float])
    listed: list[float] = attrs.field(factory=list[float])
    reasons: Counter[str] = attrs.field(factory=Counter[str])
    unknown: int = 0


async def lags(context: Context) -> None:
    """Start tasks one after the other, and read each by both operations until it is there."""
    lags, instances = _Lags(), context.setup.instances
    for number in range(_TASKS):
        token = context.new_token()
        (arn,) = await context.started([instances[number % len(instances)]], token)
        await _watch(context, arn, token, lags)
        await context.stop([arn])
    reasons = ", ".join(f"{count} times {reason}" for reason, count in lags.reasons.items()) or "never a failure"
    context.add_finding(
        "describe.lag", len(lags.described) == _TASKS, f"{_seconds(context, lags.described)}; before, {reasons}"
    )
    context.add_finding("list.lag", len(lags.listed) == _TASKS, _seconds(context, lags.listed))
    seen = f"{lags.unknown} of {len(lags.listed)} tasks in ListTasks were not known to the DescribeTasks that followed"
    context.add_finding("list.before_describe", lags.unknown == 0, seen)


def _seconds(context: Context, values: list[float]) -> str:
    lost = _TASKS - len(values)
    return spread(values) + (f"; {lost} not within {context.setup.consistency:.0f} s" if lost else "")


async def _watch(context: Context, arn: str, token: str, lags: _Lags) -> None:
    """Read a task by both operations until both show it, or time for consistency has passed."""
    began = time.monotonic()

    async def describe() -> float | None:
        return time.monotonic() - began if await _is_known(context, arn, lags) else None

    async def list_it() -> float | None:
        return time.monotonic() - began if arn in await context.list_tasks(startedBy=token) else None

    async def described() -> None:
        seconds = await context.poll(describe, context.setup.consistency)
        lags.described += [] if seconds is None else [seconds]

    async def listed() -> None:
        seconds = await context.poll(list_it, context.setup.consistency)
        if seconds is not None:
            lags.listed.append(seconds)
            lags.unknown += not await _is_known(context, arn, lags)

    await together(described, listed)


async def _is_known(context: Context, arn: str, lags: _Lags) -> bool:
    answer = await context.call("describe_tasks", tasks=[arn])
    lags.reasons.update(answer.reasons)
    return bool(answer.arns)
