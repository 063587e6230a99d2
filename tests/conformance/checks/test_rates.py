"""The buckets: their sizes and refills are measured; nothing is started."""

from __future__ import annotations

import pytest

from aioecs.conformance._checks import rates
from aioecs.testing import Bucket
from tests.conformance.runs import local_run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a shorter time, and give a slow machine more room."""
    monkeypatch.setattr(rates, "_REFILL", 0.5)
    monkeypatch.setattr(rates, "_TOLERANCE", 0.6)


async def test_documented_buckets() -> None:
    """Within the tolerance."""
    async with local_run() as run:
        run.local.engine.buckets.set("documented")
        found = await run.findings(rates.rates)
        assert {verdict for verdict, _ in found.values()} == {"as expected"}
        assert found["rate.error"][1] == "ThrottlingException (400): Rate exceeded"
        assert run.local.truth.tasks() == []


async def test_other_buckets_differ() -> None:
    """Large ones, and a throttle in another code."""
    async with local_run(disguise_throttle=True) as run:
        run.local.engine.buckets.set({"modify": Bucket(300, 40), "read": Bucket(5, 200)})
        found = await run.findings(rates.rates)
        assert found["rate.start_burst"][0] == "differs"
        assert found["rate.read_burst"][0] == "differs"
        assert found["rate.error"][0] == "differs"
        assert "InvalidParameterException (400)" in found["rate.error"][1]


async def test_no_buckets_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some hundred requests it gives up."""
    monkeypatch.setattr(rates, "_MOST", 40)
    async with local_run() as run:
        found = await run.findings(rates.rates)
        assert {verdict for verdict, _ in found.values()} == {"differs"}
        assert found["rate.error"][1] == "nothing was throttled"
        assert found["rate.read_refill"][1].startswith("none throttled of ")
