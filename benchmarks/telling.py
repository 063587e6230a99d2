"""What it costs to be heard: CPU of a call while nobody listens, while somebody does, and under OpenTelemetry.

    python -m benchmarks.telling [--quick]

The clients differ in `on_event` alone and take turns, round by round, over plain HTTP on loopback. What a call does for
telling while nobody listens (a block entered and left, and six looks at what is None) is timed by itself as well, as a
share of the call's CPU in the same run.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import timeit
from contextlib import AsyncExitStack
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aioecs._runtime.event_emitter import StartEvents
from aioecs.otel import Instrumentation
from benchmarks.hot_path import timed
from benchmarks.lean import listening
from benchmarks.own import ours
from benchmarks.rig import Figures, bound, keep_to_one_core, report, spread, table
from benchmarks.rivals import ONE, PACKED, SIZES

NOBODY, SOMEBODY, OTEL = "nobody", "a listener that does nothing", "OpenTelemetry, spans and metrics kept in memory"
ROUNDS, CALLS = 7, {ONE: 500, PACKED: 150}


def heard(event: object) -> None:
    """Do nothing about it."""


def listeners() -> dict[str, Any]:
    """Return who may listen."""
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    return {
        NOBODY: None,
        SOMEBODY: heard,
        OTEL: Instrumentation(tracers, MeterProvider([InMemoryMetricReader()])),
    }


def silence() -> float:
    """Time what a call does for telling while nobody listens, in µs."""
    tell = None

    def call() -> None:
        with StartEvents(tell, tuple) as told:
            told.starts = tuple
            for _ in range(6):
                if tell is not None:
                    raise AssertionError

    return min(timeit.repeat(call, number=100_000, repeat=5)) * 10


async def measured(quick: bool) -> dict[tuple[str, str], list[float]]:
    """Return the CPU of a call in µs, by listener and shape, round by round."""
    seen: dict[tuple[str, str], list[float]] = {}
    with listening() as endpoint:
        async with AsyncExitStack() as stack:
            ways = {
                (name, shape): way
                for name, listener in listeners().items()
                for shape, way in (await stack.enter_async_context(ours(endpoint, on_event=listener))).items()
                if shape in CALLS
            }
            for key, way in ways.items():
                await timed(way, 50, SIZES[key[1]])
            for _ in range(1 if quick else ROUNDS):
                for key, way in ways.items():
                    gc.collect()
                    calls = 50 if quick else CALLS[key[1]]
                    seen.setdefault(key, []).append((await timed(way, calls, SIZES[key[1]]))[0])
    return seen


def figures(quick: bool) -> Figures:
    """Measure all; `rows` has the CPU of a call in µs and how many times that of one which nobody hears."""
    keep_to_one_core()
    seen = asyncio.run(measured(quick))
    rows = [
        {
            "listener": name,
            "shape": shape,
            "cpu": cpu,
            "over": [own / base for own, base in zip(cpu, seen[NOBODY, shape], strict=True)],
        }
        for (name, shape), cpu in seen.items()
    ]
    share = silence() / statistics.median(seen[NOBODY, ONE])
    return {
        "rows": rows,
        "share": share,
        "bounds": [bound("share of a call's CPU that telling takes while nobody listens", share, most=0.02)],
    }


def text(found: Figures) -> str:
    """Say all of it: medians, between the least and the most of the rounds."""
    head = ["heard by", "shape", "CPU µs a call", "over nobody"]
    rows = [
        [row["listener"], row["shape"], spread(row["cpu"], ".0f"), spread(row["over"], ".2f")] for row in found["rows"]
    ]
    return f"{table(head, rows)}\nWhile nobody listens telling takes {100 * found['share']:.2f} % of a call's CPU."


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
