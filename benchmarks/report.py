"""Run the benchmarks that have rivals, keep their raw figures as JSON, and draw the charts that the README shows.

    python -m benchmarks.report [--quick]    # eleven minutes, or one

Each runs in a process of its own, and what fails there is told at the end; the others go on. Files are written to
`benchmarks/charts`; with `--quick` to a folder that is removed again, since its figures say nothing.
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

from benchmarks.rig import Figures, about, arguments, fresh, verdict

CHARTS = Path(__file__).parent / "charts"
BENCHMARKS = ("truth", "makespan", "hot_path", "startup", "fanout", "waits")


def benchmark(name: str) -> Any:
    """Return one of them. Each process imports only what it runs: what lies in its heap is part of what is measured."""
    return import_module(f"benchmarks.{name}")


def measured(name: str, quick: bool) -> Figures:
    """Run one of them, in the process that this is called in."""
    found: Figures = benchmark(name).figures(quick)
    return found


def write(folder: Path, found: dict[str, Figures], quick: bool) -> None:
    """Keep the raw figures, and draw what there is."""
    folder.mkdir(exist_ok=True)
    whole = {"about": about(), "taken": f"{datetime.now(UTC):%Y-%m-%d}", "quick": quick, **found}
    (folder / "figures.json").write_text(json.dumps(whole, indent=1) + "\n")
    drawn: dict[str, tuple[str, Callable[[Figures], str]]] = import_module("benchmarks.drawn").DRAWN
    for name, (file, draw) in drawn.items():
        if name in found:
            (folder / file).write_text(draw(found[name]))


def main(quick: bool) -> int:
    """Run them all; not 0 if one failed, or broke a bound."""
    print(about(), "\n")
    found: dict[str, Figures] = {}
    bad = 0
    for name in BENCHMARKS:
        print(f"## {name}\n", flush=True)
        began = time.monotonic()
        try:
            found[name] = fresh(measured, name, quick)
        except Exception:  # noqa: BLE001 whatever ails one of them, the others are wanted
            traceback.print_exc()
            bad += 1
            continue
        print(benchmark(name).text(found[name]))
        bad += verdict(found[name]["bounds"], quick)
        print(f"\n{name} took {time.monotonic() - began:.0f} s\n", flush=True)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), found, quick)
    else:
        write(CHARTS, found, quick)
        print(f"written to {CHARTS}")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main(arguments(__doc__).quick))
