"""Drives aioecs. Its lookups wait 2 seconds for a task to show: the local ECS shows tasks after half a second."""

from __future__ import annotations

import asyncio

import storm

import aioecs

late: dict[int, list[aioecs.StartResult]] = {}


def settled(starts: tuple[aioecs.StartResult, ...], _reason: str | None) -> None:
    """Note what is reported after a caller has left."""
    for start in starts:
        late.setdefault(int(start.request.group or 0), []).append(start)


def say(number: int, starts: tuple[aioecs.StartResult, ...]) -> None:
    """Report outcomes as they are; the last one counts."""
    arns = [start.task.arn for start in starts if start.task is not None]
    for start in starts:
        outcome = start.outcome.value
        storm.say(number, "failed" if outcome in ("refused", "not_sent") else outcome, arns)


async def main() -> None:
    """Run the storm."""
    timeouts = aioecs.Timeouts(consistency=2)
    async with aioecs.Client(region_name=storm.REGION, timeouts=timeouts, on_settled=settled) as client:

        async def start(number: int) -> list[str]:
            asked = storm.request(number)
            try:
                return [task.arn for task in await _tasks(client, asked)]
            except aioecs.ECSError as error:
                late.setdefault(number, []).extend(error.starts)
                raise
            except asyncio.CancelledError as cancelled:
                found = aioecs.find_start_error(cancelled)
                late.setdefault(number, []).extend(found.starts if found is not None else ())
                raise

        await storm.run_async(start)
    for number, starts in late.items():
        say(number, tuple(starts))


async def _tasks(client: aioecs.Client, asked: dict[str, object]) -> list[aioecs.Task]:
    if storm.RUNS:
        return list((await client.run_task(aioecs.RunTaskRequest.from_dict(asked))).tasks)
    response = await client.start_task(aioecs.StartTaskRequest.from_dict(asked))
    response.raise_for_failures()
    return list(response.tasks)


asyncio.run(main())
