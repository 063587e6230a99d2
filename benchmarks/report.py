"""Run the benchmarks that compare clients, write their raw figures as JSON, and draw the charts in the README.

    python -m benchmarks.report [--quick]    # a quarter of an hour, or one

Each runs in its own process; a failure is reported at the end, and the others run on. Files are written to
`benchmarks/charts`, or with `--quick` to a temporary folder, as its figures are not representative.
"""

from __future__ import annotations

import json
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness import Figures, about, arguments, in_new_process, print_bounds

CHARTS = Path(__file__).parent / "charts"
BENCHMARKS = ("truth", "makespan", "hot_path", "startup", "fanout", "waits")


def benchmark(name: str) -> Any:
    """Return a benchmark's module. Each process imports only what it runs, as its heap affects the measurement."""
    return import_module(f"benchmarks.{name}")


def measured(name: str, quick: bool) -> Figures:
    """Run a benchmark in the current process."""
    found: Figures = benchmark(name).figures(quick)
    return found


def write(folder: Path, found: dict[str, Figures], quick: bool) -> None:
    """Write the raw figures, and draw the charts of those that were measured."""
    folder.mkdir(exist_ok=True)
    whole = {"about": about(), "taken": f"{datetime.now(UTC):%Y-%m-%d}", "quick": quick, **found}
    (folder / "figures.json").write_text(json.dumps(whole, indent=1) + "\n")
    charts: dict[str, tuple[str, Callable[[Figures], str]]] = import_module(
        "benchmarks.report_charts"
    ).CHARTS_BY_BENCHMARK
    for name, (file, draw) in charts.items():
        if name in found:
            (folder / file).write_text(draw(found[name]))


def main(quick: bool) -> int:
    """Run all benchmarks; returns 1 if one failed or broke a bound."""
    print(about(), "\n")
    found: dict[str, Figures] = {}
    failures = 0
    for name in BENCHMARKS:
        print(f"## {name}\n", flush=True)
        started_at = time.monotonic()
        try:
            found[name] = in_new_process(measured, name, quick)
        except Exception:  # noqa: BLE001 the other benchmarks run after any failure
            traceback.print_exc()
            failures += 1
            continue
        print(benchmark(name).text(found[name]))
        failures += print_bounds(found[name]["bounds"], quick)
        print(f"\n{name} took {time.monotonic() - started_at:.0f} s\n", flush=True)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), found, quick)
    else:
        write(CHARTS, found, quick)
        print(f"written to {CHARTS}")
    return int(failures > 0)


if __name__ == "__main__":
    raise SystemExit(main(arguments(__doc__).quick))
