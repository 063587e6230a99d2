"""What every benchmark stands on: its arguments, a core for each side, a server in a process of its own, its report.

A benchmark is a module with `figures(quick)`, which measures and returns plain data (lists, dicts, strings, numbers;
under "bounds" what was asked for, see `bound`), and `text(figures)`, which says it in Markdown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")
Figures = dict[str, Any]

# As this process was started: once it keeps to one core, the system tells of no other.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
NAMED = ("aiobotocore", "botocore", "aiohttp", "boto3", "aioboto3", "awscrt", "msgspec", "uvloop")


def report(doc: str | None, figures: Callable[[bool], Figures], text: Callable[[Figures], str]) -> int:
    """Measure, and say what was found: the main of a benchmark; not 0 if a bound is broken in a full run."""
    quick = arguments(doc).quick
    print(about(), "\n")
    found = figures(quick)
    print(text(found))
    return verdict(found["bounds"], quick)


def arguments(doc: str | None) -> argparse.Namespace:
    """Read the command line: `quick`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds, which only prove that this runs")
    return parser.parse_args()


def verdict(bounds: list[Figures], quick: bool) -> int:
    """Print what was asked for beside what was found; not 0 if a full run broke any of it."""
    for each in bounds:
        # A quick run measures too little to say anything.
        word = "not judged" if quick and not each["exact"] else "OK" if each["kept"] else "MISSED"
        print(f"{word:10}  {each['what']}: {each['found']:.3g}, asked {each['asked']}")
    return int(any(not each["kept"] for each in bounds if each["exact"] or not quick))


def bound(
    what: str, found: float, *, least: float | None = None, most: float | None = None, exact: bool = False
) -> Figures:
    """Hold a figure against what was asked for; an exact one counts in a quick run too."""
    kept = found >= least if least is not None else most is not None and found <= most
    asked = f"at least {least:g}" if least is not None else f"at most {most:g}"
    return {"what": what, "found": found, "asked": asked, "kept": kept, "exact": exact}


def about() -> str:
    """Say what runs here: versions, the signer that botocore's clients take, and the cores."""
    found = []
    for name in ("aioecs", *NAMED):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    # Where awscrt is installed, botocore signs by it and says nothing.
    signer = "awscrt's" if find_spec("awscrt") else "botocore's own, in Python"
    cores = "client and server on a core each" if len(CORES) > 1 else "client and server share what cores there are"
    return f"Python {platform.python_version()}, {', '.join(found)}; signer of botocore: {signer}; {cores}"


def keep_to_one_core() -> None:
    """Give the client, which is this process, the first core for itself, where the system has such a thing."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[0]})


def fresh(measure: Callable[..., T], *given: Any) -> T:
    """Run this in a process that has run nothing yet, and return what it returns."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *given).result()


@contextmanager
def elsewhere(serve: Callable[..., None], *given: Any) -> Iterator[Any]:
    """Run `serve(connection, *given)` in a process of its own, on the servers' core, for the block.

    It sends once what the block is told, and ends when it is sent None.
    """
    with beside(CORES[-1] if len(CORES) > 1 else None, serve, *given) as connection:
        yield connection.recv()


@contextmanager
def beside(core: int | None, serve: Callable[..., None], *given: Any) -> Iterator[Connection]:
    """Run `serve(connection, *given)` in a process of its own for the block, which has the other end.

    It ends when it is sent None.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_placed, args=(core, serve, there, *given), daemon=True)
    process.start()
    there.close()  # so that one that dies is heard of, as the end of the pipe
    try:
        yield here
    finally:
        if process.is_alive():
            here.send(None)
        process.join(10)
        process.kill()


def _placed(core: int | None, serve: Callable[..., None], connection: Connection, *given: Any) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    serve(connection, *given)


def spread(values: Sequence[float], form: str = ".3g") -> str:
    """Say the median, and between what the others were, if there are any."""
    others = f" [{min(values):{form}} to {max(values):{form}}]" if len(values) > 1 else ""
    return f"{statistics.median(values):{form}}{others}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Draw a table in Markdown."""
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
