"""Draws how far a run has come: a bar with counts for a terminal, a line for anything else. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aioecs import Outcome
from aioecs.cli._display.report import Report
from aioecs.cli._display.text_lines import counted, joined, wrapped

_MINUTE, _HOUR = 60, 3600
_BAR = (8, 40)  # columns of the narrowest and the widest bar
_EXACT = 10  # calls a second; slower ones are shown to a tenth
ECHO = 3  # columns left free: a terminal writes "^C" there, and a line that it broke could not be taken back


def progress(report: Report, width: int) -> RenderableType:
    """Return the progress: on one line with a bar if `width` columns allow, else without the bar."""
    counts = report.counts
    line = Text(f"{counts.finished:,}/{counts.requested:,} {100 * counts.finished // counts.requested}%", "bold")
    parts = joined(_progress_counts(report))
    with_rate = joined([parts, *_rate_limit(report)])
    width -= ECHO
    bar_width, beside = (width - len(line) - len(text) - 2 for text in (parts, with_rate))
    fits = beside >= _BAR[0]
    shown: list[RenderableType] = [*wrapped(Text.assemble(line, " ", with_rate), width)]
    if bar_width >= _BAR[0]:
        bar = ProgressBar(
            total=counts.requested, completed=counts.finished, width=min(beside if fits else bar_width, _BAR[1])
        )
        shown = [_row(line, bar, with_rate)] if fits else [_row(line, bar, parts), *_rate_limit(report)]
    if report.interrupted is not None:
        what = report.settling or "waiting for what is in flight"
        waiting = Text(f"interrupted: {what}; Ctrl-C again ends at once", "bold yellow")
        shown += wrapped(waiting, width)
    return Group(*shown)


def _progress_counts(report: Report) -> Iterator[Text]:
    """Yield the counts that the total doesn't show, the rate and the time."""
    counts = report.counts
    if counts.started != counts.finished:
        yield counted(counts.started, "started", "green")
    others = [
        (report.waiting, "waiting for capacity", "yellow"),
        (counts.count(Outcome.REFUSED), "refused", "yellow"),
        (report.throttled, "throttled", "yellow"),
        (counts.count(Outcome.UNKNOWN), "unknown", "bold red"),
    ]
    yield from (counted(*other) for other in others if other[0])
    yield Text(f"{report.per_second:,.0f} tasks/s")
    left = "" if report.left is None else f", {duration(report.left)} left"
    yield Text(f"{duration(report.seconds)}{left}")


def duration(seconds: float) -> str:
    """Return a duration in short form: 9s, 1m09s, 2h05m."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"


def progress_line(report: Report) -> Text:
    """Return the progress as one line, for output that is no terminal."""
    counts = report.counts
    state = "interrupted, waiting for what is in flight; " if report.interrupted is not None else ""
    done = f"{state}{counts.finished:,} of {counts.requested:,}, {100 * counts.finished // counts.requested}%"
    return joined([Text(done), *_progress_counts(report), *_rate_limit(report)])


def _rate_limit(report: Report) -> Iterator[Text]:
    """Yield the rate limit, if one applies."""
    if isfinite(report.rate):
        yield Text(f"at most {report.rate:,.{0 if report.rate >= _EXACT else 1}f} calls/s")


def _row(*cells: RenderableType) -> Table:
    grid = Table.grid(padding=(0, 1))
    for _ in cells:
        grid.add_column(no_wrap=True)
    grid.add_row(*cells)
    return grid
