"""The cost of events: CPU of a call without a listener, with one, and with OpenTelemetry.

    python -m benchmarks.events [--quick]

The clients differ only in `on_event` and alternate, round by round, over plain HTTP on loopback. What a call does for
events without a listener (entering and leaving a block, and six checks for None) is timed separately, as a share of
the call's CPU in the same run.
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
from benchmarks.aioecs_calls import ours
from benchmarks.clients import ONE, PACKED, SIZES
from benchmarks.harness import Figures, bound, keep_to_one_core, report, spread, table
from benchmarks.hot_path import timed
from benchmarks.minimal_server import listening

NO_LISTENER, NO_OP, OTEL = "none", "a listener that does nothing", "OpenTelemetry, spans and metrics kept in memory"
ROUNDS, CALLS = 7, {ONE: 500, PACKED: 150}


def ignore(event: object) -> None:
    """Ignore the event."""


def listeners() -> dict[str, Any]:
    """Return the listeners."""
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    return {
        NO_LISTENER: None,
        NO_OP: ignore,
        OTEL: Instrumentation(tracers, MeterProvider([InMemoryMetricReader()])),
    }


def without_listener() -> float:
    """Time what a call does for events without a listener, in µs."""
    emit = None

    def call() -> None:
        with StartEvents(emit, tuple) as events:
            events.starts = tuple
            for _ in range(6):
                if emit is not None:
                    raise AssertionError

    return min(timeit.repeat(call, number=100_000, repeat=5)) * 10


async def measured(quick: bool) -> dict[tuple[str, str], list[float]]:
    """Return the CPU of a call in µs, by listener and shape, round by round."""
    seen: dict[tuple[str, str], list[float]] = {}
    with listening() as endpoint:
        async with AsyncExitStack() as stack:
            methods = {
                (name, shape): method
                for name, listener in listeners().items()
                for shape, method in (await stack.enter_async_context(ours(endpoint, on_event=listener))).items()
                if shape in CALLS
            }
            for key, method in methods.items():
                await timed(method, 50, SIZES[key[1]])
            for _ in range(1 if quick else ROUNDS):
                for key, method in methods.items():
                    gc.collect()
                    calls = 50 if quick else CALLS[key[1]]
                    seen.setdefault(key, []).append((await timed(method, calls, SIZES[key[1]]))[0])
    return seen


def figures(quick: bool) -> Figures:
    """Measure: `rows` has the CPU of a call in µs, and its ratio to that without a listener."""
    keep_to_one_core()
    seen = asyncio.run(measured(quick))
    rows = [
        {
            "listener": name,
            "shape": shape,
            "cpu": cpu,
            "over": [own / base for own, base in zip(cpu, seen[NO_LISTENER, shape], strict=True)],
        }
        for (name, shape), cpu in seen.items()
    ]
    share = without_listener() / statistics.median(seen[NO_LISTENER, ONE])
    return {
        "rows": rows,
        "share": share,
        "bounds": [bound("share of a call's CPU for events without a listener", share, most=0.02)],
    }


def text(found: Figures) -> str:
    """Return the report: medians, with the minimum and maximum of the rounds."""
    head = ["listener", "shape", "CPU µs a call", "over none"]
    rows = [
        [row["listener"], row["shape"], spread(row["cpu"], ".0f"), spread(row["over"], ".2f")] for row in found["rows"]
    ]
    return f"{table(head, rows)}\nWithout a listener, events take {100 * found['share']:.2f} % of a call's CPU."


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
