"""The charts of the report."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks import hot_path
from benchmarks.charts import Bar, Panel, chart
from benchmarks.harness import Figures


def draw_truth(found: Figures) -> str:
    """Draw duplicates, lies and orphans."""
    faulty, cut = found["faulty"], {row["client"]: row for row in found["cancelled"]}
    labels = [row["client"] for row in faulty]
    panels = [
        Panel("started twice", [_count(row["duplicates"]) for row in faulty]),
        Panel("reported as failed, but runs", [_count(row["lies"]) for row in faulty]),
        Panel("cancelled, runs, ARN lost", [_count(cut[name]["orphans"]) if name in cut else None for name in labels]),
    ]
    asked, cut_short, unknown = faulty[0]["asked"], found["cancelled"][0]["asked"], faulty[0]["unknown"]
    notes = [
        f"{asked} starts of which 14 % lose their answer; then {cut_short} calls, each cancelled at a random time.",
        f"Shorter is better. aioecs reports {unknown} that it could not find as UNKNOWN; the others can't.",
    ]
    return chart("Tasks that were started twice, misreported, or lost", notes, labels, panels)


def _count(number: int) -> Bar:
    return Bar(number, str(number))


def draw_makespan(found: Figures) -> str:
    """Draw the makespan over the minimum, behind the first bucket."""
    first = found["rows"][0]
    bucket = (first["burst"], first["rate"])
    rows = [row for row in found["rows"] if row["scenario"] == "alike" and (row["burst"], row["rate"]) == bucket]
    bars = []
    for row in rows:
        over, gave_up = statistics.median(row["over"]), row["started"] < row["asked"]
        label = f"{over:.2f} ×"  # noqa: RUF001 a times sign
        if gave_up:
            label += f", then gave up: {100 * row['started'] / row['asked']:.0f} % started"
        bars.append(Bar(over, label, out=gave_up))
    asked, (burst, rate) = first["asked"], bucket
    notes = [
        f"{asked:,} starts behind a token bucket of {burst}, refilled by {rate} a second; no client knows its size.",
        "Shorter is better; hatched: gave up before all were started.",
    ]
    title = "Time to start them all, over the minimum that any client could need"
    return chart(title, notes, [row["client"] for row in rows], [Panel("", bars)])


def draw_cpu(found: Figures) -> str:
    """Draw the CPU of a started task, plain HTTP and TLS, over that of raw aiobotocore with one a call."""
    schemes = ["HTTP", "TLS"]
    methods = [method for method in found["methods"] if method["scheme"] == "HTTP"]
    panels = []
    for scheme in schemes:
        bars = []
        for method in methods:
            same = hot_path.find(found["methods"], scheme, method["client"], method["shape"])
            times = statistics.median(same["under_one"])
            bars.append(Bar(1 / times, f"{100 / times:.0f} %" if times < 10 else f"{100 / times:.1f} %"))
        panels.append(Panel(f"over {scheme}", bars))
    notes = [
        "CPU of the client's process for one started task; aiobotocore with one a call is 100 %. Shorter is better."
    ]
    labels = [f"{method['client']}: {method['shape']}" for method in methods]
    return chart("CPU of a started task", notes, labels, panels)


CHARTS_BY_BENCHMARK: dict[str, tuple[str, Callable[[Figures], str]]] = {
    "truth": ("truth.svg", draw_truth),
    "makespan": ("makespan.svg", draw_makespan),
    "hot_path": ("cpu.svg", draw_cpu),
}
