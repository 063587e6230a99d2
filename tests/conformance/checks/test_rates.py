"""The buckets: their sizes and refills are measured; nothing is started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioecs.conformance._calls import Answer, Blocked, send_once
from aioecs.conformance._checks import rates
from aioecs.testing import Bucket, VirtualClock
from tests.conformance.runs import local_run

SECONDS_A_REQUEST = 0.005  # so this machine sends 200 a second


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """Let each request take its time on a clock that stands still otherwise, and nothing else take any."""
    clock = VirtualClock(1.8e9)

    async def send(*args: Any, **members: Any) -> Answer:
        clock.advance(SECONDS_A_REQUEST)
        return await send_once(*args, **members)

    monkeypatch.setattr(rates, "_REFILL", 1.0)
    monkeypatch.setattr(rates, "send_once", send)
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(rates, "anyio", SimpleNamespace(sleep=no_time))
    return clock


async def no_time(_: float) -> None:
    """Let others run."""
    await anyio.lowlevel.checkpoint()


async def test_documented_buckets(clock: VirtualClock) -> None:
    """Within the tolerance."""
    async with local_run(clock=clock) as run:
        run.local.engine.buckets.set("documented")
        found = await run.findings(rates.rates)
        assert {result for result, _ in found.values()} == {"as expected"}, found
        assert found["rate.error"][1] == "ThrottlingException (400): Rate exceeded"
        assert run.local.truth.tasks() == []


async def test_other_buckets_differ(clock: VirtualClock) -> None:
    """Large ones, and a throttle in another code."""
    async with local_run(clock=clock, disguise_throttle=True) as run:
        run.local.engine.buckets.set({"modify": Bucket(160, 40), "read": Bucket(5, 200)})
        found = await run.findings(rates.rates)
        assert found["rate.start_burst"][0] == "differs"
        assert found["rate.read_burst"][0] == "differs"
        assert found["rate.error"][0] == "differs"
        assert "InvalidParameterException (400)" in found["rate.error"][1]


async def test_no_buckets_differ(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some hundred requests it gives up."""
    monkeypatch.setattr(rates, "_MOST", 40)
    async with local_run(clock=clock) as run:
        found = await run.findings(rates.rates)
        assert {result for result, _ in found.values()} == {"differs"}
        assert found["rate.error"][1] == "nothing was throttled"
        assert found["rate.read_refill"][1].startswith("none throttled of ")


async def test_a_machine_that_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't distinguish a token bucket from its own speed."""
    monkeypatch.setattr(rates, "_OUTRUNS", 10**6)
    monkeypatch.setattr(rates, "_MOST", 10)
    async with local_run() as run:
        with pytest.raises(Blocked, match="this machine sends only"):
            await rates.rates(run.context)
