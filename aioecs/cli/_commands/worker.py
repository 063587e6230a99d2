"""The command `aioecs worker`: run a worker that a module makes, or check that one is healthy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._display.status import CANNOT, DONE, PARTLY
from aioecs.cli._options import HOW, AsJson, UsageError

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

FORMAT = "%(asctime)s %(levelname)s %(message)s"


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
    # Imported here, as below: help needs none of it.
    import time

    from aioecs.cli._serving.worker_health import default_health_file

    path = health_file or default_health_file()
    if check == (target is not None):
        raise UsageError("give MODULE:NAME, or --check" + (", not both" if check else ""))
    if check:
        return check_health(path, now=time.time())
    return _run(target or "", path, access, as_json=as_json)


def _run(target: str, health_file: Path, access: Access, *, as_json: bool) -> int:
    import asyncio
    import logging
    import traceback

    from aioecs.cli._display.streams import Streams
    from aioecs.cli._serving.worker_run import load_factory, run_worker

    try:
        make_worker = load_factory(target)
    except UsageError:
        raise
    except Exception:  # noqa: BLE001 the user's module, whose traceback shows where it fails
        traceback.print_exc()
        return CANNOT
    logging.basicConfig(format=FORMAT)
    logging.getLogger("aioecs").setLevel(logging.INFO)
    return asyncio.run(run_worker(make_worker, access.client_options(), health_file, Streams(), as_json=as_json))


def check_health(path: Path, *, now: float) -> int:
    """Print whether the worker is healthy, and return the exit status."""
    from rich.text import Text

    from aioecs.cli._display.streams import Streams
    from aioecs.cli._serving.worker_health import why_unhealthy

    streams = Streams()
    why = why_unhealthy(path, now)
    if why is None:
        streams.say(Text("healthy"))
    else:
        streams.print_error(f"not healthy: {why}")
    return streams.status(DONE if why is None else PARTLY)
