"""For tests without a loop: a local ECS on its own thread, and Ctrl-C under a condition."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from anyio.from_thread import start_blocking_portal

import aioecs
import aioecs.sync
from aioecs import StartTaskRequest
from aioecs.testing import LocalECS


@contextlib.contextmanager
def local_ecs_on_thread(**kwargs: Any) -> Iterator[LocalECS]:
    """Serve a local ECS on its own thread."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(LocalECS(**kwargs)) as local:
        yield local


def access(local: LocalECS) -> dict[str, Any]:
    """Return the arguments of a client of it."""
    return {**local.client_kwargs()}


def request(local: LocalECS, count: int = 1, **more: Any) -> StartTaskRequest:
    """Return a request for a task on each of the first instances."""
    return StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:count], **more)


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.002)


def fault_used(local: LocalECS) -> Callable[[], bool]:
    """Return a condition: the last fault of the script has hit its call, whose caller waits for an answer."""
    return lambda: len(local.faults) == 0


def arrived(local: LocalECS, operation: str = "StartTask", count: int = 1) -> Callable[[], bool]:
    """Return a condition: this many calls of an operation have arrived."""
    return lambda: local.truth.requests[operation] >= count


def waits_in_the_client() -> bool:
    """Return whether the main thread waits in a call of the client."""
    frame: FrameType | None = sys._current_frames()[threading.main_thread().ident or 0]
    inmost = frame.f_code if frame is not None else None
    waits = inmost is not None and (inmost.co_filename == threading.__file__ or inmost.co_name == "take")
    while frame is not None and Path(frame.f_code.co_filename).parent.name != "_sync":
        frame = frame.f_back
    return waits and frame is not None


@contextlib.contextmanager
def ctrl_c(*conditions: Callable[[], object]) -> Iterator[None]:
    """During the block, send SIGINT for each condition in order, once it is true and the client waits."""
    over = threading.Event()

    def press() -> None:
        for condition in conditions:
            until(lambda now=condition: (now() and waits_in_the_client()) or over.is_set())  # type: ignore[misc]
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        yield
    finally:
        over.set()
        pressing.join()


class SettledStarts:
    """Records the starts that settle after their caller has returned."""

    def __init__(self) -> None:
        self.starts: list[aioecs.StartResult] = []

    def __call__(self, starts: tuple[aioecs.StartResult, ...], reason: str | None) -> None:
        self.starts += starts
