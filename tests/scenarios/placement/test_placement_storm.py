"""Placement under change: hosts come, go, drain, lose their agent and fill up, against a model in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any, cast

import pytest
from ecs_with_changing_hosts import ModelECS, sizes_of
from fake_transport import fake_client
from virtual_time import virtual_runner

import aioecs
from aioecs import Binpack, Outcome, Random, Spread, StartResult, StartTaskRequest
from aioecs._batch.placement.placement_stream import PlacementStream

SIZES = ["1-1", "2-1", "1-3", "4-4", "7-2"]


class Script:
    """One random script: what happens to the cluster, and what is asked meanwhile."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        rng = self.rng
        self.slow = rng.choice([0.0, 0.0, 0.05, 0.4])
        self.ecs = ModelECS(
            lasts=lambda: rng.uniform(0.1, 5.0), latency=lambda: rng.uniform(0, self.slow) if self.slow else 0.0
        )
        self.wrong: list[tuple[float, StartResult]] = []

    def refused(self, start: StartResult) -> None:
        """Hold a refusal for want of capacity against the truth of this moment."""
        if self.ecs.has_capacity(*sizes_of(cast("aioecs.StartTaskRequest", start.request))):
            self.wrong.append((self.ecs.loop.time(), start))

    async def change(self) -> None:
        """Let the cluster change, for some seconds."""
        ecs, rng = self.ecs, self.rng
        for _ in range(rng.randrange(5, 40)):
            await asyncio.sleep(rng.uniform(0, 0.6))
            hosts = list(ecs.hosts.values())
            what = rng.choice(["join", "fill", "fill", "fill", "drain", "agent", "go", "undrain"])
            if what == "join" or not hosts:
                ecs.join(rng.choice([2, 4, 8]), rng.choice([2, 4, 8]))
                continue
            host = rng.choice(hosts)
            if what == "fill":
                ecs.occupy(host, rng.randint(0, host.free_cpu), rng.randint(0, host.free_memory), rng.uniform(0.1, 5))
            elif what == "drain":
                host.status = "DRAINING"
            elif what == "undrain":
                host.status = "ACTIVE"
            elif what == "agent":
                host.agent = not host.agent
            else:
                del ecs.hosts[host.arn]

    async def ask(self, client: aioecs.Client) -> list[StartResult]:
        """Place some tasks, now or later, patiently or not."""
        rng = self.rng
        await asyncio.sleep(rng.uniform(0, 6))
        requests = [StartTaskRequest(task_definition=rng.choice(SIZES)) for _ in range(rng.randrange(1, 25))]
        given: dict[str, Any] = {
            "placement": rng.choice([Spread(), Binpack(), Random()]),
            "wait_for_capacity": rng.choice([0.0, 0.0, 0.3, 3.0, 20.0]),
        }
        if rng.random() < 0.3:
            return list((await client.place_tasks(requests[0], count=len(requests), **given)).starts)
        return list((await client.place_tasks(iter(requests), **given)).starts)

    async def play(self) -> list[StartResult]:
        """Play it to its end."""
        for _ in range(self.rng.randrange(1, 6)):
            self.ecs.join(self.rng.choice([2, 4, 8]), self.rng.choice([2, 4, 8]))
        async with fake_client(self.ecs) as client:  # type: ignore[arg-type]
            changing = asyncio.create_task(self.change())
            reported = await asyncio.gather(*(self.ask(client) for _ in range(self.rng.randrange(1, 4))))
            await changing
        return [start for starts in reported for start in starts]


@pytest.mark.parametrize("part", range(20))
def test_no_start_is_refused_while_a_fresh_description_would_show_capacity(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred scripts each: every started task runs, once, and every start is reported once."""
    playing: list[Script] = []
    emit = PlacementStream._settle_refused

    def held(stream: PlacementStream, entry: Any, start: StartResult) -> None:
        playing[-1].refused(start)
        emit(stream, entry, start)

    monkeypatch.setattr(PlacementStream, "_settle_refused", held)
    outcomes: Counter[str] = Counter()
    with virtual_runner() as runner:
        for seed in range(100 * part, 100 * part + 100):
            script = Script(seed)
            playing.append(script)
            starts = runner.run(script.play())
            assert script.wrong == [], f"seed {seed}"
            outcomes.update(start.outcome.value for start in starts)
            started = [start.task for start in starts if start.outcome is Outcome.STARTED and start.task is not None]
            assert sorted(task.task_arn or "" for task in started) == sorted(script.ecs.started), f"seed {seed}"
    assert set(outcomes) == {"started", "refused"}
