"""Shared parts of the benchmarks: arguments, CPU cores, servers in their own processes, bounds and reports.

A benchmark is a module with `figures(quick)`, which measures and returns plain data (lists, dicts, strings, numbers;
under "bounds" the required values, see `bound`), and `text(figures)`, which returns a report in Markdown.
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
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")
Figures = dict[str, Any]

# At the start of the process: after `keep_to_one_core` the system reports only one.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
NAMED = ("aiobotocore", "botocore", "aiohttp", "boto3", "aioboto3", "awscrt", "msgspec", "uvloop")


def report(doc: str | None, figures: Callable[[bool], Figures], text: Callable[[Figures], str]) -> int:
    """Measure and print the report: the main function of a benchmark; returns 1 if a full run broke a bound."""
    return report_on(arguments(doc).quick, figures, text)


def report_on(quick: bool, figures: Callable[[bool], Figures], text: Callable[[Figures], str]) -> int:
    """Do what `report` does, with the command line read."""
    print(about(), "\n")
    found = figures(quick)
    print(text(found))
    return print_bounds(found["bounds"], quick)


def arguments(doc: str | None) -> argparse.Namespace:
    """Parse the command line: `quick`."""
    return parser_of(doc).parse_args()


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of the command line that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds, as proof that it runs")
    return parser


def print_bounds(bounds: list[Figures], quick: bool) -> int:
    """Print each bound with its figure; returns 1 if a full run broke one."""
    for each in bounds:
        # The figures of a quick run are not representative.
        status = "not checked" if quick and not each["exact"] else "OK" if each["kept"] else "MISSED"
        print(f"{status:11}  {each['what']}: {each['found']:.3g}, required {each['asked']}")
    return int(any(not each["kept"] for each in bounds if each["exact"] or not quick))


def bound(
    what: str, found: float, *, least: float | None = None, most: float | None = None, exact: bool = False
) -> Figures:
    """Compare a figure with its bound; an exact one counts in a quick run too."""
    kept = found >= least if least is not None else most is not None and found <= most
    asked = f"at least {least:g}" if least is not None else f"at most {most:g}"
    return {"what": what, "found": found, "asked": asked, "kept": kept, "exact": exact}


def about() -> str:
    """Return a line about the environment: versions, botocore's signer, and the cores."""
    found = [f"aioecs {import_module('aioecs').__version__}"]  # the checkout's; imported late: imports are measured
    for name in NAMED:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    # With awscrt installed, botocore signs with it.
    signer = "awscrt's" if find_spec("awscrt") else "botocore's own, in Python"
    cores = "client and server on a core each" if len(CORES) > 1 else "client and server share what cores there are"
    return f"Python {platform.python_version()}, {', '.join(found)}; signer of botocore: {signer}; {cores}"


def keep_to_one_core() -> None:
    """Bind this process, the client, to the first core, where the system supports it."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[0]})


def in_new_process(measure: Callable[..., T], *given: Any) -> T:
    """Run a function in a new process, and return what it returns."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *given).result()


@contextmanager
def server_process(serve: Callable[..., None], *given: Any) -> Iterator[Any]:
    """Run `serve(connection, *given)` in a new process on the servers' core during the block.

    It sends one value, which the block gets, and ends when it receives None.
    """
    with child_process(CORES[-1] if len(CORES) > 1 else None, serve, *given) as connection:
        yield connection.recv()


@contextmanager
def child_process(core: int | None, serve: Callable[..., None], *given: Any) -> Iterator[Connection]:
    """Run `serve(connection, *given)` in a new process during the block, which gets the other end.

    It ends when it receives None.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_placed, args=(core, serve, there, *given), daemon=True)
    process.start()
    there.close()  # so that the end of the process closes the pipe
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
    """Return the median, with minimum and maximum if there are several values."""
    others = f" [{min(values):{form}} to {max(values):{form}}]" if len(values) > 1 else ""
    return f"{statistics.median(values):{form}}{others}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
