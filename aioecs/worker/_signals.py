"""SIGTERM, as a scheduler sends it: handled while a worker runs, unless another handler is set."""

from __future__ import annotations

import asyncio
import signal
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager

_Callbacks = dict[object, Callable[[], object]]
_CALLBACKS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Callbacks] = weakref.WeakKeyDictionary()
"""Who is called for a SIGTERM, by the loop that handles it."""


@contextmanager
def sigterm(on_signal: Callable[[], object]) -> Generator[bool]:
    """Call `on_signal()` on the running loop for each SIGTERM; yield whether that is so.

    Workers of one loop are all called. A handler that is set already stays (uvicorn's, for example): its owner stops
    the worker too. None is set outside of the main thread, or on a loop that can't handle signals.
    """
    loop, me = asyncio.get_running_loop(), object()
    callbacks = _CALLBACKS.get(loop)
    if callbacks is None and (callbacks := _handle(loop)) is None:
        yield False
        return
    callbacks[me] = on_signal
    try:
        yield True
    finally:
        del callbacks[me]
        if not callbacks:
            del _CALLBACKS[loop]
            loop.remove_signal_handler(signal.SIGTERM)


def _handle(loop: asyncio.AbstractEventLoop) -> _Callbacks | None:
    """Handle SIGTERM on a loop; return who is called for it, None where it can't be handled."""
    free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        return None
    callbacks: _Callbacks = {}

    def received() -> None:
        for each in tuple(callbacks.values()):
            each()

    try:
        loop.add_signal_handler(signal.SIGTERM, received)
    except NotImplementedError:  # Windows
        return None
    _CALLBACKS[loop] = callbacks
    return callbacks
