"""Drives aiobotocore with its default settings."""

from __future__ import annotations

import asyncio

import storm
from aiobotocore.session import get_session


async def main() -> None:
    """Run the storm."""
    async with get_session().create_client("ecs", region_name=storm.REGION) as client:
        method = client.run_task if storm.RUNS else client.start_task

        async def start(number: int) -> list[str]:
            return storm.read(await method(**storm.request(number)))

        await storm.run_async(start)


asyncio.run(main())
