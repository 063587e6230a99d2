"""SIGTERM, as a fleet's scheduler sends it: heard while a worker runs, unless somebody else hears it already."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def sigterm(heard: Callable[[], object]) -> Generator[bool]:
    """Call `heard()` on the running loop for each SIGTERM; yield whether it will be.

    A handler that another has set stays (uvicorn's, for example): whoever set it stops the worker too. Outside of the
    main thread, and on a loop that can't handle signals, none is set.
    """
    loop = asyncio.get_running_loop()
    free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield False
        return
    try:
        loop.add_signal_handler(signal.SIGTERM, heard)
    except NotImplementedError:  # Windows
        yield False
        return
    try:
        yield True
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
