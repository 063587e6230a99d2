"""SIGTERM, as a scheduler sends it: handled while a worker runs, unless another handler is set."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def sigterm(on_signal: Callable[[], object]) -> Generator[bool]:
    """Call `on_signal()` on the running loop for each SIGTERM; yield whether that is so.

    A handler that is set already stays (uvicorn's, for example): its owner stops the worker too. None is set outside of
    the main thread, or on a loop that can't handle signals.
    """
    loop = asyncio.get_running_loop()
    free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield False
        return
    try:
        loop.add_signal_handler(signal.SIGTERM, on_signal)
    except NotImplementedError:  # Windows
        yield False
        return
    try:
        yield True
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
