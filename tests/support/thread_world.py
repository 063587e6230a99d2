"""A world for those without a loop: a local ECS on a thread of its own, Ctrl-C when something has happened."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from anyio.from_thread import start_blocking_portal

import aioecs
import aioecs.sync
from aioecs import StartTaskRequest
from aioecs.testing import LocalECS


@contextlib.contextmanager
def served(**kwargs: Any) -> Iterator[LocalECS]:
    """Serve a local ECS on a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(LocalECS(**kwargs)) as local:
        yield local


def access(local: LocalECS) -> dict[str, Any]:
    """Return what a client takes to reach it."""
    return {**local.client_kwargs()}


def request(local: LocalECS, count: int = 1, **more: Any) -> StartTaskRequest:
    """Ask for a task on each of the first instances."""
    return StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:count], **more)


def until(happened: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.002)


def struck(local: LocalECS) -> Callable[[], bool]:
    """Tell whether the last fault of the script has met its call: the caller waits for its answer."""
    return lambda: len(local.faults) == 0


def arrived(local: LocalECS, operation: str = "StartTask", count: int = 1) -> Callable[[], bool]:
    """Tell whether so many calls of an operation have arrived."""
    return lambda: local.truth.requests[operation] >= count


def waits_in_the_client() -> bool:
    """Tell whether the main thread is where a call of the client's waits."""
    frame: FrameType | None = sys._current_frames()[threading.main_thread().ident or 0]
    inmost = frame.f_code if frame is not None else None
    waits = inmost is not None and (inmost.co_filename == threading.__file__ or inmost.co_name == "_each")
    while frame is not None and frame.f_code.co_filename != aioecs.sync.__file__:
        frame = frame.f_back
    return waits and frame is not None


@contextlib.contextmanager
def ctrl_c(*when: Callable[[], object]) -> Iterator[None]:
    """Press Ctrl-C once each of these is so and the client waits, one after the other, while the block runs."""
    over = threading.Event()

    def press() -> None:
        for happened in when:
            until(lambda now=happened: (now() and waits_in_the_client()) or over.is_set())  # type: ignore[misc]
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        yield
    finally:
        over.set()
        pressing.join()


class Settled:
    """Hears of outcomes that no caller is left to hear."""

    def __init__(self) -> None:
        self.starts: list[aioecs.StartResult] = []

    def __call__(self, starts: tuple[aioecs.StartResult, ...], reason: str | None) -> None:
        self.starts += starts
