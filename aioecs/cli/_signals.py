"""SIGINT, SIGTERM and SIGHUP: the first cancels a token, the second ends the process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

from aioecs import CancelToken

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


@contextmanager
def interrupts(token: CancelToken, at_once: Callable[[], object]) -> Generator[None]:
    """Cancel `token` at the first signal and call `at_once()` at the second, both on the running loop.

    The signals behave as before when the block ends, whatever ended it.
    """
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if token.cancelled:
            at_once()
        else:
            token.cancel(number.name)

    undo = [_handle(loop, number, on_signal) for number in _SIGNALS if not _outlives_the_terminal(number)]
    try:
        yield
    finally:
        for restore in undo:
            restore()


def _outlives_the_terminal(number: signal.Signals) -> bool:
    """Whether the signal is the terminal's end, and the command was started to go on after it, as by nohup."""
    return number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN


def _handle(
    loop: asyncio.AbstractEventLoop, number: signal.Signals, on_signal: Callable[[signal.Signals], None]
) -> Callable[[], object]:
    """Handle one signal on the loop, and return what undoes it. Windows' loops leave signals to the interpreter."""
    before = signal.getsignal(number) or signal.SIG_DFL
    try:
        loop.add_signal_handler(number, on_signal, number)
    except NotImplementedError:

        def interrupted(*_: object) -> None:
            loop.call_soon_threadsafe(on_signal, number)

        signal.signal(number, interrupted)
        return lambda: signal.signal(number, before)

    def undo() -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, before)

    return undo
