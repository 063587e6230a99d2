"""Signals: the first cancels a token, the second ends at once."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from aioecs import CancelToken
from aioecs.cli._signals import interrupts

BOTH = [signal.SIGINT, signal.SIGTERM]


async def on_signal(condition: asyncio.Event) -> None:
    """Wait until a signal has been dealt with."""
    async with asyncio.timeout(5):
        await condition.wait()


@pytest.mark.parametrize("number", BOTH)
async def test_first_and_second(number: signal.Signals) -> None:
    """The first signal cancels with its name as the reason; the second calls for an end."""
    token, cancelled, ended = CancelToken(), asyncio.Event(), asyncio.Event()
    token.add_callback(lambda _: cancelled.set())
    with interrupts(token, ended.set):
        os.kill(os.getpid(), number)
        await on_signal(cancelled)
        assert (token.reason, ended.is_set()) == (number.name, False)
        os.kill(os.getpid(), number)
        await on_signal(ended)


@pytest.mark.parametrize("number", BOTH)
async def test_signals_behave_as_before(number: signal.Signals) -> None:
    """Afterwards the signals are handled as they were."""
    before = signal.getsignal(number)
    with interrupts(CancelToken(), lambda: None):
        pass
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", BOTH)
async def test_on_a_loop_without_signals(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' loops handle no signals: then the interpreter's handler wakes the loop."""

    def cannot(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", cannot)
    before = signal.getsignal(number)
    token, cancelled = CancelToken(), asyncio.Event()
    token.add_callback(lambda _: cancelled.set())
    with interrupts(token, lambda: None):
        os.kill(os.getpid(), number)
        await on_signal(cancelled)
    assert token.reason == number.name
    assert signal.getsignal(number) is before
