"""The loop in the background that all blocking clients of a process share, and the calls that threads make on it.

It starts with the first client that is opened, on a thread of its own, and ends with the last that is closed. What is
still open at the process's exit is closed then. After a fork the child has a new one: the parent's thread isn't there.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import contextvars
import functools
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortalProvider

from aioecs.errors import CallCancelled, ClientStateError, StartCancelled, find_start_error

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

CANCELLED = (CallCancelled, CancelledError)


def like(
    method: Callable[Concatenate[Any, P], Any],
) -> Callable[[Callable[Concatenate[S, ...], T]], Callable[Concatenate[S, P], T]]:
    """Give a method another's parameters."""

    def decorate(given: Callable[Concatenate[S, ...], T]) -> Callable[Concatenate[S, P], T]:
        return functools.wraps(method)(given)

    return decorate


class _Process:
    """What this process has of it."""

    def __init__(self) -> None:
        self.provider = BlockingPortalProvider()
        self.loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self.leases: dict[Lease, Callable[[], object]] = {}

    def after_fork(self) -> None:
        self.provider = BlockingPortalProvider()

    def at_exit(self) -> None:
        with ExitStack() as stack:  # which calls them all, whatever one of them raises
            for lease, close in tuple(self.leases.items()):
                if lease.is_ours:
                    stack.callback(close)


class _DaemonExecutor(ThreadPoolExecutor):
    """The threads that the loop hands what blocks to: names to resolve, certificates to load.

    An ordinary pool takes nothing any more once the interpreter ends, which is before `at_exit`; what is looked up and
    stopped then may need a new connection.
    """

    def __init__(self, threads: int = 4) -> None:
        super().__init__(threads)
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        for _ in range(threads):  # all of them now: at the interpreter's end none can be started
            threading.Thread(target=self._serve, name="aioecs-executor", daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Let the next free thread do it."""
        future: Future[T] = Future()
        self._work.put((future, functools.partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end; they are daemons, so the exit doesn't wait for a name server."""
        self._work.put(None)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            future, call = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001 it is raised where the future is awaited
                    future.set_exception(error)
            del work, future, call
        self._work.put(None)  # for the next of them


_PROCESS = _Process()
atexit.register(_PROCESS.at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_PROCESS.after_fork)


class Lease:
    """One client's hold on the loop: while there is one, it runs."""

    def __init__(self, close: Callable[[], object]) -> None:
        """Start the loop, or share it; `close` is called at the process's exit, unless it is released before.

        Raises:
            ClientStateError: threads are gevent's or eventlet's, on which no loop can run in the background.
        """
        refuse_green_threads()
        self._process = os.getpid()
        self._provider = _PROCESS.provider
        # A free-threaded Python hands its context to each new thread; what sniffio keeps there is the caller's.
        self._portal = contextvars.Context().run(self._provider.__enter__)
        self._loop = self._portal.call(asyncio.get_running_loop)
        if self._loop not in _PROCESS.loops:
            _PROCESS.loops.add(self._loop)
            self._portal.call(self._loop.set_default_executor, _DaemonExecutor())
        _PROCESS.leases[self] = close

    @property
    def is_ours(self) -> bool:
        """Whether it was taken by this process, and not before a fork."""
        return self._process == os.getpid()

    def send(self, loop_call: LoopCall[Any]) -> None:
        """Make a call on the loop.

        Raises:
            ClientStateError: the loop has ended, which it does with the last client.
        """
        loop_call.loop = self._loop
        try:
            self._portal.start_task_soon(loop_call.run)
        except RuntimeError as error:
            loop_call.loop = None
            raise ClientStateError(f"the client was closed meanwhile: {error}") from error

    def release(self) -> None:
        """Let the loop end with its last lease."""
        _PROCESS.leases.pop(self, None)
        self._provider.__exit__(None, None, None)


class LoopCall(Future[T]):
    """One call on the background loop, in a task of its own; its caller can withdraw it."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()  # from here on it ends by what the call comes to, and by nothing else
        self._call = call
        self._task: asyncio.Task[Any] | None = None
        self._cancel_requested = False
        self.over = False
        """Whether it has ended, as `done()`, but without a lock that an interrupt could leave held."""
        self._ended = threading.Lock()
        self._ended.acquire()
        self.add_done_callback(self._end)
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop it runs on; None before it is sent."""

    async def run(self) -> None:
        """Make the call, unless it was withdrawn before that."""
        if self.done():
            return
        self._task = asyncio.current_task()
        try:
            self.set_result(await self._call())
        except asyncio.CancelledError as cancelled:
            self.set_exception(_error_of(cancelled))
            raise
        except BaseException as error:  # noqa: BLE001 a SystemExit too is its caller's, not everyone's loop's
            self.set_exception(error)

    def _end(self, _: object) -> None:
        self.over = True
        self._ended.release()

    def wait(self) -> None:
        """Wait until it has ended; an interrupt may come in any step of this.

        It would leave the lock of a Future's own wait held, or make that fail with a RuntimeError about the lock.
        """
        while not self.over:
            # An interrupt between these two lines keeps the lock from other threads: they look again after a second.
            if self._ended.acquire(timeout=1.0):
                self._ended.release()

    def withdraw(self) -> None:
        """Cancel the wait for the call on the loop, from any thread; a second time ends the settling too."""
        if self.loop is not None and not self.over:
            self.loop.call_soon_threadsafe(self._withdraw)

    def _withdraw(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif not self.done():
            self.set_exception(nothing_sent())

    def cancel(self) -> bool:
        """Withdraw the call as its token would; False if it has ended. Its outcome is in `exception()`."""
        if self.done():
            return False
        if not self._cancel_requested:
            self._cancel_requested = True
            self.withdraw()
        return True

    def cancelled(self) -> bool:
        """Whether it has ended by a cancel, of whatever kind; `result()` and `exception()` say what it left behind."""
        return self.done() and isinstance(self.exception(), CANCELLED)


def _error_of(cancelled: asyncio.CancelledError) -> BaseException:
    """Return the error that a cancelled caller receives, with what is known of its call, if anything is."""
    if isinstance(cancelled.__cause__, CallCancelled):
        return cancelled.__cause__
    return find_start_error(cancelled) or CancelledError()


def nothing_sent() -> StartCancelled:
    """Return the error of a call that was withdrawn before it reached the client."""
    return StartCancelled("withdrawn before it was begun; nothing was sent")


# The libraries that replace threads by greenlets, and the function that says whether they have.
_GREEN = {"gevent.monkey": ("is_module_patched", "threading"), "eventlet.patcher": ("is_monkey_patched", "thread")}


def refuse_green_threads() -> None:
    """Refuse to run where gevent or eventlet has replaced threads by greenlets.

    Raises:
        ClientStateError: it has.
    """
    for module, (is_patched, patched) in _GREEN.items():
        loaded = sys.modules.get(module)
        if loaded is not None and getattr(loaded, is_patched)(patched):
            library = module.partition(".")[0]
            raise ClientStateError(
                f"{library} has replaced threads by greenlets, which aioecs.sync can't run on: it needs real threads. "
                f"Leave threads unpatched, or use aioecs in a process without {library}"
            )


def refuse_on_the_loop_itself() -> None:
    """Refuse what would wait for the very loop that it is called on.

    Raises:
        ClientStateError: it is called there, by a callback for example.
    """
    if _running_loop() in _PROCESS.loops:
        raise ClientStateError(
            "called on the background loop's own thread, from a callback or a key function: it would wait for itself; "
            "hand it to a thread"
        )


def refuse_to_block_a_loop() -> None:
    """Refuse to bring a running loop to a standstill, but a notebook's: its cell is what its user waits for.

    IPython puts `get_ipython` among the builtins while it runs a cell, and the kernel runs that on its own loop.

    Raises:
        ClientStateError: a loop runs on this thread.
    """
    refuse_on_the_loop_itself()
    if _running_loop() is not None and not hasattr(builtins, "get_ipython"):
        raise ClientStateError(
            "this thread runs an event loop, which a blocking call would bring to a standstill: "
            "use aioecs.Client here, or hand the call to a thread (anyio.to_thread.run_sync)"
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
