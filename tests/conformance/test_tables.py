"""The conformance checks as a whole: on moto's server they show where it is not ECS; the docs have both tables."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest
from moto_queue import moto_server

from aioecs.conformance._connection import connected
from aioecs.conformance._facts import FACTS
from aioecs.conformance._report import Result
from aioecs.conformance._runner import run_checks
from aioecs.conformance._setup import prepare
from tests.conformance.runs import SESSION, results
from tests.testing.test_moto import moto_side

# moto's own: werkzeug's server leaves its sockets to the garbage collector, and datetime.utcnow is deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
ROW = re.compile(r"^\| `([a-z._]+)` \| .* \| ([^|]*) \| [^|]* \|$", re.MULTILINE)
MOTO_DIFFERS = {
    *("start.mixed", "start.no_capacity", "start.eleven", "start.long_started_by"),
    *("list.running_by_default", "list.only_filter", "stop.reason", "stop.unknown"),
    *("run.replay", "run.conflict", "run.replay_stopped", "answer.no_instances", "answer.bad_key"),
}
NOT_RUN = {
    *("drain.refused", "run.token_end", "rate.error"),
    *("rate.start_burst", "rate.start_refill", "rate.read_burst", "rate.read_refill"),
}


async def test_what_moto_does_otherwise() -> None:
    """A moto that learns better, and a check that notices less, are both seen here."""
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "us-east-1"}
    with moto_server() as url:
        await anyio.to_thread.run_sync(moto_side, url)
        async with connected(SESSION, endpoint_url=url, **keys) as connection:
            setup = await prepare(connection.ecs, cluster="lab", task_definition="demo", consistency=0.5, poll=0.1)
            report = await run_checks(connection.context(setup), anyio.sleep_forever)
    found = results(report.findings)
    assert {name for name, result in found.items() if result == Result.DIFFERS} == MOTO_DIFFERS
    assert {name for name, result in found.items() if result == Result.NOT_RUN} == NOT_RUN
    assert not [finding for finding in report.findings if finding.result is Result.FAILED]
    assert report.left == ()


def table(number: int) -> dict[str, str]:
    """Return the results of a table of the page, without emphasis."""
    rows = ROW.findall(PAGE.read_text())
    size = len(FACTS)
    assert len(rows) == 2 * size
    return {name: result.strip("* ") for name, result in rows[number * size : (number + 1) * size]}


def test_the_documented_tables() -> None:
    """Each has every fact: all as expected on the local ECS but for what it can't show; moto's differences."""
    local, moto = table(0), table(1)
    assert list(local) == list(moto) == list(FACTS)
    assert {name for name, result in local.items() if result != "as expected"} == {"answer.bad_key"}
    assert {name for name, result in moto.items() if result == "differs"} == MOTO_DIFFERS


def test_the_page_has_the_facts_as_they_are() -> None:
    """Claims, grades and dependencies of the tables are those of the code."""
    text = PAGE.read_text()
    for fact in FACTS.values():
        assert text.count(f"| `{fact.name}` | {fact.claim} [{fact.grade}] |") == 2
