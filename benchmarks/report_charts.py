"""The charts of the report."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks import hot_path
from benchmarks.charts import Absent, Bar, Never, Panel, chart
from benchmarks.clients import OURS, RAW
from benchmarks.harness import Figures

TIMES = "\u00d7"


def draw_truth(found: Figures) -> str:
    """Draw duplicates, lies and orphans of StartTask; `benchmarks.truth` also prints those of RunTask."""
    faulty = [row for row in found["faulty"] if "run_task" not in row["client"]]
    cut = {row["client"]: row for row in found["cancelled"]}
    labels = [row["client"] for row in faulty]
    asked, cut_short, unknown = faulty[0]["asked"], found["cancelled"][0]["asked"], faulty[0]["unknown"]
    panels = [
        Panel(f"started twice, of {asked}", [_count(row["duplicates"]) for row in faulty]),
        Panel(f"\u201cfailed\u201d, but runs, of {asked}", [_count(row["lies"]) for row in faulty]),
        Panel(
            f"lost by a cancel, of {cut_short}",
            [_count(cut[name]["orphans"]) if name in cut else Absent("can't be cancelled") for name in labels],
        ),
    ]
    notes = [
        f"{asked} starts of which 14 % lose their answer; then {cut_short} calls, each cancelled at a random time.",
        "Tasks, on one scale in all three panels; shorter is better. A cancel before the request is sent loses none.",
        f"aioecs reports {unknown} that it could not find as UNKNOWN; the others can't.",
    ]
    return chart("Tasks that were started twice, misreported, or lost", notes, labels, panels, one_scale=True)


def _count(number: int) -> Bar:
    return Bar(number, str(number))


def draw_makespan(found: Figures) -> str:
    """Draw the seconds behind the first bucket: ten starts a call, and one."""
    first = found["rows"][0]
    asked, burst, rate = first["asked"], first["burst"], first["rate"]
    behind = [row for row in found["rows"] if (row["burst"], row["rate"]) == (burst, rate)]
    packed, single = ([row for row in behind if row["scenario"] == name] for name in ("packed", "single"))
    panels = [
        Panel("ten starts a call: seconds", list(map(_makespan, packed)), packed[0]["least"]),
        Panel("one start a call: seconds", list(map(_makespan, single)), single[0]["least"]),
    ]
    notes = [
        f"{asked:,} equal starts, a token bucket of {burst} calls, refilled by {rate} a second; no client knows it.",
        "Ten a call: aioecs packs by itself (start_tasks), the others were packed by hand. The panels' scales differ.",
        "Dashed: the least time that any client could need. Hatched: ended with starts given up, so no time ranks it.",
    ]
    return chart(f"Time until all {asked:,} are started", notes, [row["client"] for row in packed], panels)


def _makespan(row: Figures) -> Bar | Never:
    seconds = statistics.median(row["seconds"])
    if row["started"] < row["asked"]:
        return Never(f"{_share(row['started'], row['asked'])} started, rest given up ({seconds:.0f} s)")
    return Bar(seconds, f"{seconds:.1f} ({statistics.median(row['over']):.2f} {TIMES})")


def _share(part: int, whole: int) -> str:
    """Return a percentage, rounded down: 100 % is all."""
    return f"{100 * part // whole} %"


def draw_cpu(found: Figures) -> str:
    """Draw the CPU of a started task, plain HTTP and TLS, over that of raw aiobotocore with one a call."""
    methods = [method for method in found["methods"] if method["scheme"] == "HTTP" and _is_drawn(method["client"])]
    panels = []
    for scheme in ("HTTP", "TLS"):
        bars = []
        for method in methods:
            same = hot_path.find(found["methods"], scheme, method["client"], method["shape"])
            times = statistics.median(same["under_one"])
            bars.append(Bar(100 / times, f"{100 / times:.0f}" if times < 10 else f"{100 / times:.1f}"))
        panels.append(Panel(f"over {scheme}, %", bars))
    notes = [
        "CPU of the client's process for one started task; aiobotocore with one a call is 100 %. Shorter is better.",
        "Overrides are made in the same way on both sides: for each request, or once for all. One scale for both.",
    ]
    labels = [f"{method['client']}: {method['shape']}" for method in methods]
    return chart("CPU of a started task", notes, labels, panels, one_scale=True)


def _is_drawn(client: str) -> bool:
    """Return whether a client is in the chart: variants of one, such as on uvloop, are in the printed table only."""
    return client in (OURS, RAW) or client.startswith("boto3")


def draw_startup(found: Figures) -> str:
    """Draw the CPU until the first task is started, step by step, and the longest stall of the loop."""
    sides: dict[str, dict[str, list[float]]] = found["sides"]
    steps = {
        "import": "import, cpu",
        "open": "first client, cpu",
        "first task": "first call, cpu",
        "all three": "import, first client and call, cpu",
        "longest stall": "CPU of the stall, first client",
    }
    panels = [
        Panel(
            f"{heading}, ms", [Bar(ms, f"{ms:.0f}") for ms in (statistics.median(side[of]) for side in sides.values())]
        )
        for heading, of in steps.items()
    ]
    notes = [
        "CPU of a new process in ms, in steps and in all; shorter is better. Each panel has its own scale.",
        "aioecs imports aiobotocore while its first client opens, in a thread, so that step alone takes longer.",
        "Longest stall: the CPU that is spent at a time while the event loop waits for the first client to open.",
    ]
    return chart("From the import to the first started task", notes, list(sides), panels)


CHARTS_BY_BENCHMARK: dict[str, tuple[str, Callable[[Figures], str]]] = {
    "truth": ("truth.svg", draw_truth),
    "makespan": ("makespan.svg", draw_makespan),
    "hot_path": ("cpu.svg", draw_cpu),
    "startup": ("startup.svg", draw_startup),
}
