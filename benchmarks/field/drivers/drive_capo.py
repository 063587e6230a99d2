"""Drives capo-ecs with its default settings."""

from __future__ import annotations

import asyncio

import storm
from capo_ecs import AsyncECSClient


async def main() -> None:
    """Run the storm."""
    async with AsyncECSClient(endpoint=storm.ENDPOINT, region=storm.REGION) as client:

        async def start(number: int) -> list[str]:
            asked = storm.request(number)
            named = {"group": asked["group"], "task_definition": asked["taskDefinition"]}
            if storm.RUNS:
                answer = await client.run_task(**named)
            else:
                answer = await client.start_task(container_instances=asked["containerInstances"], **named)
            tasks = answer.get("tasks") or []
            return storm.read({"tasks": [{"taskArn": task["task_arn"]} for task in tasks], "failures": answer})

        await storm.run_async(start)


asyncio.run(main())
