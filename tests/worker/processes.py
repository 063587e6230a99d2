"""What the processes do that tests start and kill. They import this, and no library of the tests."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import aioecs
from aioecs.worker import ClaimOutcome, Entry, Message, SQLiteLedger, Worker


def work(url: str, queue: str, client: dict[str, Any], instances: list[str], path: str) -> None:
    """Work until SIGTERM, and write how long the worker took to end then."""

    async def run() -> float:
        async with aioecs.Client(**client, pacing=None) as ecs:

            def to_request(message: Message) -> aioecs.StartTaskRequest:
                return aioecs.StartTaskRequest(
                    task_definition="demo", container_instances=instances[:1], group=message.body
                )

            worker = Worker(
                ecs,
                queue,
                to_request,
                key=lambda message: message.body,
                ledger=SQLiteLedger(path),
                concurrency=10,
                visibility=3,
                drain=2,
                skew=0.1,
                long_poll=1,
                sqs_endpoint_url=url,
            )
            running = asyncio.create_task(worker.run())
            while "draining" not in repr(worker):
                await asyncio.sleep(0.01)
            began = time.monotonic()
            await running
            return time.monotonic() - began

    logging.getLogger("aioecs").setLevel(logging.CRITICAL)
    took = asyncio.run(run())
    Path(f"{path}.took").write_text(str(took))


def claim_until_killed(path: str, number: int, now: float) -> None:
    """Claim one job after the other, and settle each at once."""

    async def claim() -> None:
        async with SQLiteLedger(path) as ledger:
            for job in range(10**6):
                holder = f"{number}-{job}"
                entry = Entry(
                    key=str(job), holder=holder, lease=now + 100, begun=now, fingerprint="f", instances=("i1",)
                )
                if (await ledger.claim(entry, now=now, skew=5)).outcome is ClaimOutcome.GRANTED:
                    await ledger.settle(entry.key, holder, (holder,))

    asyncio.run(claim())
