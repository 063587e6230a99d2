"""_report: results, the table, and the JSON."""

from __future__ import annotations

import json

import pytest

from aioecs.conformance._facts import FACTS
from aioecs.conformance._report import Finding, Report, Result, as_json, as_markdown, judged, spread, whole

NAME = "start.repeated"


def report(*findings: Finding, left: tuple[str, ...] = (), interrupted: bool = False) -> Report:
    """Return a report."""
    about = {"cluster": "c|1"}
    return Report(about=about, findings=findings, tasks=2, requests=9, left=left, interrupted=interrupted)


@pytest.mark.parametrize(
    ("name", "holds", "result"),
    [
        ("start.repeated", True, Result.AS_EXPECTED),
        ("start.repeated", False, Result.DIFFERS),
        ("drain.refused", False, Result.EITHER),
        ("drain.refused", True, Result.AS_EXPECTED),
    ],
)
def test_judged(name: str, holds: bool, result: Result) -> None:
    """Where the library is right in either case, a difference says so."""
    assert judged(name, holds, "seen") == Finding(FACTS[name], result, "seen")


def test_whole() -> None:
    """Each fact has a finding, in the order of the table; those without one were not run, and it says why."""
    findings = whole([judged(NAME, True, "seen")], {"start.order": "needs two"})
    assert [finding.fact.name for finding in findings] == list(FACTS)
    by_name = {finding.fact.name: finding for finding in findings}
    assert by_name[NAME].result is Result.AS_EXPECTED
    assert (by_name["start.order"].result, by_name["start.order"].seen) == (Result.NOT_RUN, "needs two")
    assert by_name["run.replay"].seen == "no check ran"


@pytest.mark.parametrize(
    ("result", "left", "conforms"),
    [
        (Result.AS_EXPECTED, (), True),
        (Result.EITHER, (), True),
        (Result.NOT_RUN, (), True),
        (Result.DIFFERS, (), False),
        (Result.FAILED, (), False),
        (Result.AS_EXPECTED, ("a task",), False),
    ],
)
def test_conforms(result: Result, left: tuple[str, ...], conforms: bool) -> None:
    """What was not run doesn't speak against it; what is left behind does."""
    assert report(Finding(FACTS[NAME], result, ""), left=left).conforms is conforms


def test_markdown() -> None:
    """A list, and a table whose cells hold no bar and no line end."""
    text = as_markdown(report(judged(NAME, False, "a|b\nc"), left=("x",), interrupted=True))
    assert text.splitlines() == [
        "- cluster: c\\|1",
        "- 2 tasks started, about 9 requests sent",
        "- interrupted: 1 differs",
        "- left behind: x",
        "",
        "| fact | expected | seen | result | what depends on it |",
        "|---|---|---|---|---|",
        f"| `{NAME}` | {FACTS[NAME].claim} [reported] | a\\|b c | **differs** | {FACTS[NAME].depends} |",
    ]


def test_json() -> None:
    """The same, to be read by a program."""
    found = json.loads(as_json(report(judged(NAME, True, "2 tasks"))))
    assert (found["conforms"], found["tasks"], found["left"], found["interrupted"]) == (True, 2, [], False)
    (finding,) = found["findings"]
    assert finding["fact"] == NAME
    assert (finding["grade"], finding["seen"], finding["result"]) == ("reported", "2 tasks", "as expected")


def test_spread() -> None:
    """The range and the median."""
    assert spread([0.2, 0.1, 1.0]) == "0.10 to 1.00 s, median 0.20 s, 3 tasks"
    assert spread([]) == "none"
