"""Runs the worker that a module of the user's makes, until a signal, and writes its health file."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from rich.text import Text

from aioecs import CancelToken, Client, ECSError
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.status import CANNOT, DONE
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.cli._serving.worker_health import remove_health, write_health
from aioecs.cli._signals import interrupts

if TYPE_CHECKING:
    from aioecs.worker import Worker, WorkerStatistics

REFRESH_INTERVAL = 5.0  # in seconds, between two writes of the health file
log = logging.getLogger("aioecs")


def load_factory(target: str) -> Callable[[Client], Any]:
    """Import what MODULE:NAME names.

    Raises:
        UsageError: there is no such module or function.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise UsageError(f"{target}: give MODULE:NAME, as in jobs:make_worker")
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # another module, which the user's imports
        raise UsageError(f"{target}: there is no module {error.name}") from error
    found: Any = getattr(module, name, None)
    if not callable(found):
        raise UsageError(f"{target}: {module_name} has no function {name}")
    factory: Callable[[Client], Any] = found
    return factory


async def run_worker(
    make_worker: Callable[[Client], Any],
    options: dict[str, Any],
    health_file: Path,
    streams: Streams,
    *,
    as_json: bool = False,
) -> int:
    """Run the worker until a signal, and return the exit status; a second signal ends its draining."""
    token = CancelToken()
    try:
        async with Client(**options) as client:
            made = make_worker(client)
            running: Worker = expect_worker(await made if inspect.isawaitable(made) else made)
            work = asyncio.create_task(running.run(token))
            with interrupts(token, work.cancel):
                statistics = await _reporting(running, work, health_file)
    except ECSError as error:
        streams.print_error(text_of(error))
        return CANNOT
    if as_json:
        streams.write(json.dumps(attrs.asdict(statistics)))
    else:
        streams.say(Text(summary(statistics)))
    return streams.status(DONE)


def expect_worker(made: Any) -> Worker:
    """Return the worker that a function made.

    Raises:
        UsageError: it is none.
    """
    from aioecs.worker import Worker  # a slow import, which --check doesn't need

    if not isinstance(made, Worker):
        raise UsageError(f"the function returned a {type(made).__name__}, not an aioecs.worker.Worker")
    return made


async def _reporting(running: Worker, work: asyncio.Task[WorkerStatistics], path: Path) -> WorkerStatistics:
    """Write the health file until the worker has ended, and remove it then."""
    failed = False
    try:
        while not work.done():
            try:
                write_health(path, healthy=running.healthy, now=time.time())
                failed = False
            except OSError as error:
                if not failed:
                    log.warning("the health file %s can't be written: %s", path, error.strerror or error)
                failed = True
            await asyncio.wait([work], timeout=REFRESH_INTERVAL if running.healthy else 0.5)
    finally:
        remove_health(path)
    return running.statistics() if work.cancelled() else work.result()


def summary(statistics: WorkerStatistics) -> str:
    """Return the counts in a line."""
    names = ("started", "adopted", "already_settled", "deleted", "returned", "dead_lettered", "unknown")
    counts = [f"{getattr(statistics, name)} {name.replace('_', ' ')}" for name in names]
    return ", ".join(counts) + f"; {len(statistics.left)} messages left in the queue at the end"
