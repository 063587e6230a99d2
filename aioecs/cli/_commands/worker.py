"""The command `aioecs worker`: run a worker that a module makes, or check that one is healthy."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer
from rich.text import Text

from aioecs import CancelToken, Client, ECSError
from aioecs.cli._access import Access, with_access
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.status import CANNOT, DONE, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import HOW, AsJson, UsageError
from aioecs.cli._signals import interrupts

if TYPE_CHECKING:
    from aioecs.worker import Worker, WorkerStatistics

HELP = """
Run a worker of your own until SIGTERM or Ctrl-C, or check that it is healthy.

MODULE:NAME is a function of yours that takes an open aioecs.Client and returns an aioecs.worker.Worker. The module \
is imported from the current directory too. The worker's log goes to stderr, unless the module sets up logging itself.

At a signal the worker receives no more, waits for what is in flight, and returns the other messages; a second one \
ends the waiting. With --check, exit status 0 means that the worker of the health file runs, its ledger can be reached \
and its queue answers; 1 means that it doesn't.

[bold]Examples[/]

  aioecs worker jobs:make_worker

As the health check of a container:

  aioecs worker --check
"""

REFRESH_INTERVAL = 5.0  # in seconds, between two writes of the health file
STALE_AFTER = 20.0  # in seconds: a health file that is older is of a worker that has ended or hangs
FORMAT = "%(asctime)s %(levelname)s %(message)s"
log = logging.getLogger("aioecs")


@with_access
def worker(
    target: Annotated[
        str | None,
        typer.Argument(metavar="MODULE:NAME", help="A function of a client that returns a Worker.", show_default=False),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check that the worker is healthy, and run none.", rich_help_panel=HOW)
    ] = False,
    health_file: Annotated[
        Path | None,
        typer.Option(
            "--health-file",
            metavar="FILE",
            help="Where a worker writes whether it is healthy; by default one of yours in the directory for temporary "
            "files. Workers on one machine need one each.",
            rich_help_panel=HOW,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """Run or check it, and return the exit status; `HELP` is what the user reads."""
    path, streams = health_file or default_health_file(), Streams()
    if check == (target is not None):
        raise UsageError("give MODULE:NAME, or --check" + (", not both" if check else ""))
    if check:
        return check_health(path, streams, now=time.time())
    try:
        make_worker = load_factory(target or "")
    except UsageError:
        raise
    except Exception:  # noqa: BLE001 the user's module, whose traceback shows where it fails
        traceback.print_exc()
        return CANNOT
    logging.basicConfig(format=FORMAT)
    log.setLevel(logging.INFO)
    return asyncio.run(run_worker(make_worker, access.client_options(), path, streams, as_json=as_json))


def default_health_file() -> Path:
    """Return the health file of this user."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"aioecs-worker-{user}.json"


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


def write_health(path: Path, *, healthy: bool, now: float) -> None:
    """Write whether the worker is healthy, so that a reader never sees half of it.

    Raises:
        OSError: the file can't be written.
    """
    number, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump({"healthy": healthy, "at": now, "pid": os.getpid()}, file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_health(path: Path) -> None:
    """Remove the health file of a worker that has ended; one that can't be removed grows old."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def check_health(path: Path, streams: Streams, *, now: float) -> int:
    """Print whether the worker is healthy, and return the exit status."""
    why = why_unhealthy(path, now)
    if why is None:
        streams.say(Text("healthy"))
    else:
        streams.print_error(f"not healthy: {why}")
    return streams.status(DONE if why is None else PARTLY)


def why_unhealthy(path: Path, now: float) -> str | None:
    """Return why the worker of a health file is not healthy; None if it is."""
    try:
        if hasattr(os, "getuid") and path.lstat().st_uid != os.getuid():
            return f"{path} is another user's"
        held: Any = json.loads(path.read_text(encoding="utf-8"))
        age = now - float(held["at"])
        healthy = held["healthy"] is True
    except FileNotFoundError:
        return f"no worker runs that writes {path}"
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"{path} can't be read: {type(error).__name__}"
    if not healthy:
        return "its ledger or its queue can't be reached, or it has not begun or is ending"
    return f"it has not reported for {age:.0f} s" if age > STALE_AFTER else None


def summary(statistics: WorkerStatistics) -> str:
    """Return the counts in a line."""
    names = ("started", "adopted", "already_settled", "deleted", "returned", "dead_lettered", "unknown")
    counts = [f"{getattr(statistics, name)} {name.replace('_', ' ')}" for name in names]
    return ", ".join(counts) + f"; {len(statistics.left)} messages left in the queue at the end"
