"""The charts of the benchmarks: legible in light and dark, with scales, and fair to what gave up."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.charts import DARK, Absent, Bar, Never, Panel, chart
from benchmarks.report_charts import draw_makespan, draw_startup


def texts(svg: str) -> list[str]:
    """Return what a chart says, in order."""
    return [each.text or "" for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 ours


def row(scenario: str, client: str, started: int, seconds: float) -> dict[str, Any]:
    """Return a row of `benchmarks.makespan`, of 2,000 starts."""
    figures = {"started": started, "least": 2.5, "seconds": [seconds], "over": [seconds / 2.5]}
    return {"scenario": scenario, "burst": 100, "rate": 40, "client": client, "asked": 2_000, **figures}


@pytest.mark.parametrize("one_scale", [False, True])
def test_each_panel_states_its_scale(one_scale: bool) -> None:
    """Numbers stand below each panel: the same ones only where the panels share a scale."""
    panels = [Panel(f"up to {most}", [Bar(most, str(most)), Bar(0, "0")]) for most in (90, 9_000)]
    said = texts(chart("title", ["note"], ["aioecs", "other"], panels, one_scale=one_scale))
    assert said.count("4,000") == (2 if one_scale else 1)
    assert ("40" in said) != one_scale


def test_every_color_has_a_dark_one() -> None:
    """A reader whose system is dark gets other colors, of the paper too, and no light one is left."""
    bars: list[Bar | Never | Absent] = [Bar(1, "one"), Never("never"), Absent("none")]
    svg = chart("title", ["note"], ["aioecs", "a", "b"], [Panel("heading", bars, best=0.5)])
    drawn = svg.partition("</style>")[2]
    colors = set(re.findall(r"#[0-9a-f]{6}", drawn))
    assert colors
    assert colors <= DARK.keys()
    assert all(f'fill: {light}"], [fill="{light}"] {{ fill: {dark} !' in svg for light, dark in DARK.items())


def test_what_gave_up_has_no_bar() -> None:
    """A client that ended early, with starts given up, is not ranked by its time: its share stands there instead."""
    rows = [
        row("packed", "aioecs", 2_000, 2.6),
        row("packed", "other", 1_999, 1.0),
        row("single", "aioecs", 2_000, 3.0),
        row("single", "other", 2_000, 4.0),
        row("unlike", "aioecs", 2_000, 99.0),
    ]
    said = texts(draw_makespan({"rows": rows}))
    assert "99 % started, rest given up (1 s)" in said
    assert {"2.6 (1.04 \u00d7)", "3.0 (1.20 \u00d7)", "4.0 (1.60 \u00d7)"} <= set(said)
    assert not any("99.0" in each for each in said)


def test_the_first_client_is_shown_whole() -> None:
    """Import, opening and first task are there beside the stall."""
    names = ["import, cpu", "first client, cpu", "first call, cpu", "import, first client and call, cpu"]
    side = {name: [number * 10.0] for number, name in enumerate([*names, "CPU of the stall, first client"], 1)}
    said = texts(draw_startup({"sides": {"aioecs": side, "aiobotocore": side}}))
    assert [said.count(str(number)) >= 2 for number in (10, 20, 30, 40, 50)] == [True] * 5
