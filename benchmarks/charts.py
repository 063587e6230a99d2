"""Bar charts in SVG, small enough for the repository: text stays text, and two runs differ only in their figures.

A chart has a light and a dark set of colors, and takes that of the reader's system.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:  # matplotlib takes half a second to import: only what draws does it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, ROW, TOP, BOTTOM = 8.6, 0.3, 0.78, 0.32  # in inches
PAPER, OWN, OTHERS, FADED, INK, QUIET, LINE = (
    *("#fffffe", "#1a7f5a", "#a3adb8", "#eef1f4", "#1f2328", "#59636e", "#d1d9e0"),
)
DARK = {
    PAPER: "#0d1117",
    OWN: "#3fb68b",
    OTHERS: "#767f89",
    FADED: "#1c2229",
    INK: "#e6edf3",
    QUIET: "#9aa4af",
    LINE: "#3d444d",
}
"""By color of the light chart: that of the dark one."""


@attrs.frozen
class Bar:
    """One figure and its label."""

    value: float
    label_text: str


@attrs.frozen
class Never:
    """What ended without doing all that was asked: no figure ranks it, so its row is hatched from end to end."""

    label_text: str


@attrs.frozen
class Absent:
    """A figure that can't exist; the text says why."""

    label_text: str


@attrs.frozen
class Panel:
    """A column of bars under a heading, one for each label of the chart, on a scale that its axis states."""

    heading: str
    bars: Sequence[Bar | Never | Absent]
    best: float | None = None
    """What no client could do better; drawn as a line."""

    def limit(self, width: float) -> float:
        """Return where the scale ends, on so many inches: labels need space to the right of the bars."""
        bars = [bar for bar in self.bars if isinstance(bar, Bar)]
        longest = max((bar.value for bar in bars), default=1.0) or 1.0
        space = 0.075 * max((len(bar.label_text) for bar in bars), default=0) + 0.1
        return longest / (1 - min(0.6, space / width))


def chart(
    title: str, notes: Sequence[str], labels: Sequence[str], panels: Sequence[Panel], *, one_scale: bool = False
) -> str:
    """Draw a chart; labels that begin with "aioecs" are highlighted, and with `one_scale` all panels share a scale."""
    top = TOP + 0.2 * len(notes)
    height = top + ROW * len(labels) + BOTTOM
    figure = _empty_figure(height)
    figure.suptitle(title, x=0.02, y=1 - 0.2 / height, ha="left", va="center", color=INK, weight="bold", size=11)
    for number, note in enumerate(notes):
        figure.text(0.02, 1 - (0.46 + 0.2 * number) / height, note, va="center", color=QUIET)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    left = (0.12 + 0.07 * max(map(len, labels))) / WIDTH
    figure.subplots_adjust(left=left, right=0.985, top=1 - top / height, bottom=BOTTOM / height, wspace=0.12)
    width = WIDTH * (1 - left) / len(panels)
    limit = max(panel.limit(width) for panel in panels)
    for panel, within in zip(panels, axes, strict=True):
        _draw(within, panel, labels, limit if one_scale else panel.limit(width), ticks=5 if width > 2 else 3)
    for tick, label in zip(axes[0].get_yticklabels(), labels, strict=True):
        tick.set(color=INK, weight="bold" if label.startswith("aioecs") else "normal")
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Title": title, "Description": "; ".join(notes)})
    return _with_dark_colors("\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n")


def _empty_figure(height: float) -> Figure:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "aioecs",
            "font.family": "sans-serif",
            "font.size": 9,
            "hatch.linewidth": 1.0,
        }
    )
    from matplotlib.figure import Figure  # after the backend is chosen

    return Figure(figsize=(WIDTH, height), facecolor=PAPER)


def _draw(within: Axes, panel: Panel, labels: Sequence[str], limit: float, ticks: int) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    within.set_facecolor(PAPER)
    for row, (label, bar) in enumerate(zip(labels, panel.bars, strict=True)):
        _draw_bar(within, row, bar, limit, own=label.startswith("aioecs"))
    if panel.best is not None:
        within.axvline(panel.best, color=INK, linewidth=1, linestyle=(0, (3, 2)), zorder=0.9)
    within.set_title(panel.heading, loc="left", color=QUIET, size=9)
    within.set_yticks(range(len(labels)), labels)
    within.set_ylim(len(labels) - 0.4, -0.6)
    within.set_xlim(0, limit)
    within.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
    within.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    within.tick_params(length=0, labelsize=8, axis="x", labelcolor=QUIET)
    within.tick_params(length=0, axis="y")
    within.grid(axis="x", color=LINE, linewidth=0.6)
    within.set_axisbelow(True)
    within.spines[["top", "right", "bottom"]].set_visible(False)
    within.spines["left"].set_color(LINE)


def _draw_bar(within: Axes, row: int, bar: Bar | Never | Absent, limit: float, *, own: bool) -> None:
    if isinstance(bar, Bar):
        drawn = within.barh(row, bar.value, 0.55, color=OWN if own else OTHERS)
        within.bar_label(drawn, [bar.label_text], padding=4, color=INK, weight="bold" if own else "normal")
        return
    if isinstance(bar, Never):
        within.barh(row, limit, 0.55, color=FADED, hatch="////", edgecolor=LINE, linewidth=0)
    within.text(limit * 0.02, row, bar.label_text, va="center", color=QUIET, style="italic")


def _with_dark_colors(svg: str) -> str:
    rules = "".join(
        f'[style*="{what}: {light}"], [{what}="{light}"] {{ {what}: {dark} !important }} '
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    return svg.replace("</style>", f" @media (prefers-color-scheme: dark) {{ {rules}}}</style>", 1)
