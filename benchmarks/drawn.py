"""The charts of the report: what of its figures is drawn, and how."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks import hot_path
from benchmarks.charts import Bar, Panel, chart
from benchmarks.rig import Figures


def truthful(found: Figures) -> str:
    """Draw duplicates, lies and orphans."""
    storm, cut = found["faulty"], {row["client"]: row for row in found["cancelled"]}
    labels = [row["client"] for row in storm]
    panels = [
        Panel("started twice", [_count(row["duplicates"]) for row in storm]),
        Panel("said to have failed, and runs", [_count(row["lies"]) for row in storm]),
        Panel("cancelled, runs, ARN lost", [_count(cut[name]["orphans"]) if name in cut else None for name in labels]),
    ]
    asked, cut_short, unknown = storm[0]["asked"], found["cancelled"][0]["asked"], storm[0]["unknown"]
    notes = [
        f"{asked} starts of which 14 % lose their answer; then {cut_short} calls, each cancelled at a random moment.",
        f"Shorter is better. aioecs says UNKNOWN of {unknown} that it could not find; the others have no such word.",
    ]
    return chart("Tasks that nobody asked for, or that nobody knows of", notes, labels, panels)


def _count(number: int) -> Bar:
    return Bar(number, str(number))


def punctual(found: Figures) -> str:
    """Draw the makespan over the least, behind the first bucket."""
    first = found["rows"][0]
    bucket = (first["burst"], first["rate"])
    rows = [row for row in found["rows"] if row["scenario"] == "alike" and (row["burst"], row["rate"]) == bucket]
    bars = []
    for row in rows:
        over, gave_up = statistics.median(row["over"]), row["started"] < row["asked"]
        word = f"{over:.2f} ×"  # noqa: RUF001 a times sign
        if gave_up:
            word += f", then gave up: {100 * row['started'] / row['asked']:.0f} % started"
        bars.append(Bar(over, word, out=gave_up))
    asked, (burst, rate) = first["asked"], bucket
    notes = [
        f"{asked:,} starts behind a token bucket of {burst}, refilled by {rate} a second; no client knows its size.",
        "Shorter is better; hatched: gave up before all were started.",
    ]
    title = "Time to start them all, over the least that any client could need"
    return chart(title, notes, [row["client"] for row in rows], [Panel("", bars)])


def frugal(found: Figures) -> str:
    """Draw the CPU of a started task, plain HTTP and TLS, over that of raw aiobotocore with one a call."""
    schemes = ["HTTP", "TLS"]
    ways = [way for way in found["ways"] if way["scheme"] == "HTTP"]
    panels = []
    for scheme in schemes:
        bars = []
        for way in ways:
            same = hot_path.find(found["ways"], scheme, way["client"], way["shape"])
            times = statistics.median(same["under_one"])
            bars.append(Bar(1 / times, f"{100 / times:.0f} %" if times < 10 else f"{100 / times:.1f} %"))
        panels.append(Panel(f"over {scheme}", bars))
    notes = [
        "CPU of the client's process for one started task; aiobotocore with one a call is 100 %. Shorter is better."
    ]
    labels = [f"{way['client']}: {way['shape']}" for way in ways]
    return chart("CPU of a started task", notes, labels, panels)


DRAWN: dict[str, tuple[str, Callable[[Figures], str]]] = {
    "truth": ("truth.svg", truthful),
    "makespan": ("makespan.svg", punctual),
    "hot_path": ("cpu.svg", frugal),
}
