"""Errors, request ids and the clock."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from aioecs.conformance._calls import Answer, Blocked
from aioecs.conformance._checks.answers import _skew, bad_key, clock, errors
from aioecs.testing import Fault
from tests.conformance.runs import local_run


async def test_as_expected() -> None:
    """Codes, statuses, and a request id of its own in each answer."""
    async with local_run() as run:
        found = await run.findings(errors)
        assert {result for result, _ in found.values()} == {"as expected"}
        assert found["answer.unknown_cluster"][1] == "ClusterNotFoundException (400)"
        assert found["answer.request_id"][1] == "4 different ones in 4 answers"
        assert run.local.truth.tasks() == []


@pytest.mark.parametrize(
    ("name", "find"),
    [
        ("answer.unknown_cluster", "ClusterNotFoundException"),
        ("answer.unknown_definition", "ClientException"),
        ("answer.no_instances", "InvalidParameterException"),
    ],
)
async def test_another_code_differs(name: str, find: str) -> None:
    """Each fact notices it."""
    fault = Fault("mutated", "after", times=None, find=find, replace="OtherException")
    async with local_run(faults=[fault]) as run:
        assert (await run.findings(errors))[name] == ("differs", "OtherException (400)")


async def test_the_clock() -> None:
    """This machine's is its own."""
    async with local_run() as run:
        assert (await run.findings(clock))["clock.skew"] == ("as expected", "no difference, to the second")


@pytest.mark.parametrize(("ahead", "least", "most"), [(0, 0, 0), (60, 58, 60), (-60, -60, -58)])
def test_the_skew(ahead: float, least: float, most: float) -> None:
    """Only what is certain, as a Date has whole seconds."""
    now = time.time()
    answer = Answer({}, 200, {"date": formatdate(now + ahead, usegmt=True)})
    assert least - 1 <= _skew(answer, now, now) <= most + 1
    assert (_skew(answer, now, now) == 0) is (ahead == 0)


def test_no_date() -> None:
    """Then nothing is learned."""
    with pytest.raises(Blocked, match="no Date"):
        _skew(Answer({}, 200, {}), 0, 0)


async def test_a_bad_key() -> None:
    """The local ECS takes it for a good one, which differs."""
    async with local_run() as run:
        assert (await run.findings(bad_key))["answer.bad_key"] == ("differs", "200, 0 tasks")
    denied = Fault("error", operation="ListTasks", code="UnrecognizedClientException", status=400)
    async with local_run(faults=[denied]) as run:
        seen = "UnrecognizedClientException (400)"
        assert (await run.findings(bad_key))["answer.bad_key"] == ("as expected", seen)
