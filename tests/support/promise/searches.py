"""The searches: within which bounds each model is searched, in the tests, quickly, and at length."""

from __future__ import annotations

from typing import Any

import attrs

from promise.bounds import FAR, Bounds
from promise.call_model import CallModel
from promise.search import Found, search
from promise.worker_model import WorkerModel
from promise.worker_state import WorkerBounds

AnyBounds = Bounds | WorkerBounds
CALLS = (
    Bounds(),
    Bounds(on_cancel="stop"),
    Bounds(on_cancel="keep", lag=FAR),
    Bounds(on_cancel="abandon", instances=("a", "b"), throttles=0),
    Bounds(delivery="at_least_once", lag=3),
    Bounds(keyed=True, earlier=True, on_cancel="stop", throttles=0, call=4),
    Bounds(runs=True, on_cancel="stop", throttles=0, call=4),
    Bounds(denied=True, waits=True),
)
"""Small: for the tests."""
_JOB = attrs.evolve(WorkerBounds().call, call=3, garbled=False)
_REFUSABLE = attrs.evolve(_JOB, refuses=True)
_SMALL = WorkerBounds(call=_JOB, faults=1, attempts=2, renewals=0, skew=0, ahead=(0, 0), ends=6)
WORKERS = tuple(attrs.evolve(_SMALL, kinds=frozenset({kind})) for kind in ("crash", "ledger"))
"""Small: for the tests."""
WINDOW = attrs.evolve(_SMALL, kinds=frozenset({"pause"}), window=1)
"""A pause between the lease check and the write, and the window that it opens."""
LATE = attrs.evolve(WINDOW, call=attrs.evolve(WINDOW.call, consistency=2, lag=2))
"""The same, where the answer to what was written too late can be lost before the lease is over."""


def short_search() -> list[AnyBounds]:
    """Return bounds that are searched in less than a minute on a machine that does nothing else."""
    calls = [
        *(Bounds(on_cancel=cancel, max_attempts=3) for cancel in ("stop", "keep", "abandon")),
        *(Bounds(on_cancel=cancel, lag=FAR) for cancel in ("stop", "keep", "abandon")),
        *(Bounds(delivery="at_least_once", on_cancel=cancel, lag=3) for cancel in ("stop", "keep", "abandon")),
        *(Bounds(runs=True, on_cancel=cancel, max_attempts=3) for cancel in ("keep", "abandon")),
        Bounds(keyed=True, earlier=True, on_cancel="stop", denied=True),
        Bounds(on_cancel="stop", loop_ends=True),
        Bounds(instances=("a", "b"), on_cancel="stop"),
    ]
    workers = [
        attrs.evolve(_SMALL, call=_REFUSABLE, kinds=frozenset({kind}), ends=8) for kind in ("crash", "ledger", "stop")
    ]
    return [*CALLS, *calls, *workers, WINDOW, LATE]


def long_search() -> list[AnyBounds]:
    """Return the bounds of the long search: three attempts everywhere, clocks that differ, pauses at any step."""
    worlds = (
        Bounds(),
        Bounds(lag=FAR),
        Bounds(delivery="at_least_once"),
        Bounds(delivery="at_least_once", lag=3),
        Bounds(runs=True),
    )
    three: list[AnyBounds] = [
        attrs.evolve(world, on_cancel=cancel, max_attempts=3, waits=True)
        for world in worlds
        for cancel in (None, "stop", "keep", "abandon")
    ]
    workers = [
        attrs.evolve(WorkerBounds(), kinds=frozenset({kind}), faults=1, ahead=ahead, window=1)
        for kind in ("crash", "pause", "ledger", "stop", "sleep")
        for ahead in ((0, 1), (1, 0))
    ]
    both = [attrs.evolve(_SMALL, faults=2, attempts=3, ends=9, kinds=frozenset({"crash", "ledger"}))]
    late = attrs.evolve(LATE, call=attrs.evolve(LATE.call, call=4), ends=9)
    return [*short_search(), *three, *workers, *both, late]


def searched(bounds: AnyBounds, most: int = 10_000_000) -> Found[Any]:
    """Search the model that these bounds are for."""
    return search(CallModel(bounds), most) if isinstance(bounds, Bounds) else search(WorkerModel(bounds), most)
