"""What the checks found: one finding for each fact, as a table in Markdown and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from statistics import median
from typing import Any

import attrs

from aioecs.conformance._facts import FACTS, Fact


class Result(StrEnum):
    """What a check came to."""

    AS_EXPECTED = "as expected"
    DIFFERS = "differs"
    EITHER = "differs, handled"
    """It differs, and the library is right in this case too."""
    FAILED = "failed"
    """The check itself could not be carried through."""
    NOT_RUN = "not run"


@attrs.frozen
class Finding:
    """What was seen of a fact; why, if the check was not run or failed."""

    fact: Fact
    result: Result
    seen: str


def judged(name: str, holds: bool, seen: str) -> Finding:
    """Return the finding of a check that was carried through."""
    fact = FACTS[name]
    differs = Result.EITHER if fact.either else Result.DIFFERS
    return Finding(fact, Result.AS_EXPECTED if holds else differs, seen)


@attrs.frozen(kw_only=True)
class Report:
    """A whole run.

    about: where and when it ran.  left: what could not be cleaned up, one line each.  interrupted: it was ended early.
    """

    about: Mapping[str, str]
    findings: tuple[Finding, ...]
    tasks: int
    requests: int
    left: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def conforms(self) -> bool:
        """Whether nothing differs or failed, and nothing was left behind."""
        wrong = (Result.DIFFERS, Result.FAILED)
        return not self.left and all(finding.result not in wrong for finding in self.findings)


def whole(findings: Iterable[Finding], why: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return a finding for each fact, in the order of the table; `why` has reasons for those that have none."""
    found = {finding.fact.name: finding for finding in findings}
    return tuple(
        found.get(name, Finding(fact, Result.NOT_RUN, why.get(name, "no check ran"))) for name, fact in FACTS.items()
    )


def spread(values: list[float]) -> str:
    """Describe the distribution of some seconds."""
    if not values:
        return "none"
    low, high = min(values), max(values)
    return f"{low:.2f} to {high:.2f} s, median {median(values):.2f} s, {len(values)} tasks"


def as_markdown(report: Report) -> str:
    """Return the report as a table in Markdown, with a summary."""
    counts = Counter(finding.result for finding in report.findings)
    summary = ", ".join(f"{counts[result]} {result}" for result in Result if counts[result])
    lines = [
        *(f"- {name}: {_cell(value)}" for name, value in report.about.items()),
        f"- {report.tasks} tasks started, about {report.requests} requests sent",
        f"- {'interrupted: ' if report.interrupted else ''}{summary}",
        *(f"- left behind: {_cell(line)}" for line in report.left),
        "",
        "| fact | expected | seen | result | what depends on it |",
        "|---|---|---|---|---|",
        *(_row(finding) for finding in report.findings),
    ]
    return "\n".join(lines)


def _row(finding: Finding) -> str:
    fact = finding.fact
    result = str(finding.result)
    if finding.result in (Result.DIFFERS, Result.FAILED):
        result = f"**{result}**"
    expected = f"{fact.claim} [{fact.grade}]"
    cells = (f"`{fact.name}`", expected, finding.seen, result, fact.depends)
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """Return text that doesn't end a cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def as_json(report: Report) -> str:
    """Return the report as one JSON object."""
    found: dict[str, Any] = {
        "about": dict(report.about),
        "tasks": report.tasks,
        "requests": report.requests,
        "conforms": report.conforms,
        "interrupted": report.interrupted,
        "left": list(report.left),
        "findings": [_plain(finding) for finding in report.findings],
    }
    return json.dumps(found, ensure_ascii=False)


def _plain(finding: Finding) -> dict[str, str]:
    fact = finding.fact
    return {
        "fact": fact.name,
        "expected": fact.claim,
        "grade": fact.grade,
        "seen": finding.seen,
        "result": str(finding.result),
        "depends": fact.depends,
    }
