"""batch_call: the starts of one call, and which result each of them gets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_batch import (
    HOSTS,
    EngineHarness,
    FakeStartTask,
    arn_of,
    calls_in_flight,
    release_calls,
)
from virtual_time import iterations, run_in_virtual_time

from aioecs import (
    InvalidRequest,
    Outcome,
)
from aioecs._batch.batch_call import ends_all
from aioecs._runtime.concurrency import Priority
from aioecs.errors import ConfigurationError, service_error


@pytest.mark.parametrize(
    ("withdrawn", "capacity", "outcomes", "stops"),
    [
        ((0,), 1, ["refused", "started", "started"], 0),
        ((1,), 1, ["started", "refused", "started"], 0),
        ((0,), 2, ["stopped", "started", "started"], 1),
        ((0, 1), 1, ["stopped", "refused", "started"], 1),
        ((0,), 0, ["refused", "refused", "started"], 0),
    ],
)
def test_equal_starts_share_fairly(withdrawn: tuple[int, ...], capacity: int, outcomes: list[str], stops: int) -> None:
    """Of starts on one host, tasks go to those who still want them first, refusals to those who don't."""

    async def work() -> None:
        bench, entries = await calls_in_flight()
        bench.start_task.capacity = {HOSTS[0]: capacity}
        for at in withdrawn:
            bench.engine.withdraw(entries[at], "stop", "left")
        await release_calls(bench)
        assert bench.owner.outcomes() == outcomes
        assert len(bench.stopped()) == stops

    run_in_virtual_time(work())


@pytest.mark.parametrize("withdrawn", [0, 1])
def test_a_remaining_caller_gets_what_was_sent(withdrawn: int) -> None:
    """One of two equal starts leaves before the wire; the other's refusal is its own, not the leaver's NOT_SENT."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(full=[HOSTS[0]]), size=1)
        await bench.core.concurrency.take(Priority.READ)
        entries = bench.add(HOSTS[0], HOSTS[0])
        await iterations(8)
        bench.engine.withdraw(entries[withdrawn], "stop", "left")
        bench.core.concurrency.release()
        await bench.engine.idle()
        assert bench.sent() == [(HOSTS[0],)]
        assert bench.owner.outcomes()[withdrawn] == "not_sent"
        assert bench.owner.outcomes()[1 - withdrawn] == "refused"

    run_in_virtual_time(work())


def test_what_is_known_of_a_start_under_way() -> None:
    """Before it lands it is what its call knows; while its stop is under way it is the task that it was given."""

    async def work() -> None:
        bench, entries = await calls_in_flight()
        batch_call = entries[0].carrier
        assert [batch_call.start_of(entry).outcome for entry in entries] == [Outcome.UNKNOWN] * 3
        stopping = asyncio.Event()
        stop = bench.transport.handlers["stop_task"]

        async def held(request: Any, sent_marker: Any) -> Any:
            await stopping.wait()
            return await stop(request, sent_marker)

        bench.transport.handlers["stop_task"] = held
        bench.engine.withdraw(entries[0], "stop", "left")
        bench.start_task.gate.set()
        await iterations(12)
        known = batch_call.start_of(entries[0])
        assert known.request is entries[0].request
        assert arn_of(known) not in {arn_of(start) for start in bench.owner.starts()}
        stopping.set()
        await bench.engine.idle()
        assert arn_of(bench.owner.starts()[0]) == arn_of(known)

    run_in_virtual_time(work())


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (None, False),
        (ConfigurationError("no credentials"), True),
        (service_error("AccessDeniedException", ""), True),
        (service_error("ClusterNotFoundException", ""), True),
        (service_error("ExpiredTokenException", ""), True),
        (service_error("UnrecognizedClientException", ""), True),
        (service_error("ClientException", ""), False),
        (service_error("ServerException", ""), False),
        (InvalidRequest("a", "b"), False),
    ],
)
def test_what_would_meet_all(error: Any, ends: bool) -> None:
    """No permission, no such cluster, no valid credentials: and nothing else ends a stream early."""
    assert ends_all(error) is ends
