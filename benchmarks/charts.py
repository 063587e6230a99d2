"""Bar charts in SVG, small enough for the repository: text stays text, and two runs differ only in their figures."""

from __future__ import annotations

import io
from collections.abc import Sequence

import attrs
import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "aioecs",
        "font.family": "sans-serif",
        "font.size": 9,
        "hatch.linewidth": 1.5,
        "hatch.color": "#ffffff",
    }
)

from matplotlib.axes import Axes  # noqa: E402 after the backend is chosen
from matplotlib.figure import Figure  # noqa: E402

WIDTH, ROW, TOP = 8.6, 0.3, 0.75  # in inches
OWN, OTHERS, INK, QUIET = "#1a7f5a", "#a3adb8", "#1f2328", "#59636e"


@attrs.frozen
class Bar:
    """One figure and its label; hatched if it is not ranked."""

    value: float
    label_text: str
    out: bool = False


@attrs.frozen
class Panel:
    """A column of bars under a heading, one for each label of the chart; None for a missing figure."""

    heading: str
    bars: Sequence[Bar | None]


def chart(title: str, notes: Sequence[str], labels: Sequence[str], panels: Sequence[Panel]) -> str:
    """Draw a chart; labels that begin with "aioecs" are highlighted."""
    top = TOP + 0.2 * len(notes)
    height = top + ROW * len(labels) + 0.15
    figure = Figure(figsize=(WIDTH, height))
    figure.suptitle(title, x=0.02, y=1 - 0.2 / height, ha="left", va="center", color=INK, weight="bold", size=11)
    for number, note in enumerate(notes):
        figure.text(0.02, 1 - (0.46 + 0.2 * number) / height, note, va="center", color=QUIET)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.29, right=0.98, top=1 - top / height, bottom=0.15 / height, wspace=0.12)
    for panel, within in zip(panels, axes, strict=True):
        _draw(within, panel, labels)
    for tick, label in zip(axes[0].get_yticklabels(), labels, strict=True):
        tick.set(color=INK, weight="bold" if label.startswith("aioecs") else "normal")
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Title": title, "Description": "; ".join(notes)})
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def _draw(within: Axes, panel: Panel, labels: Sequence[str]) -> None:
    rows = range(len(labels))
    for row, label, bar in zip(rows, labels, panel.bars, strict=True):
        own = label.startswith("aioecs")
        if bar is None:
            within.text(0, row, " not measured", va="center", color=QUIET)
            continue
        drawn = within.barh(row, bar.value, 0.55, color=OWN if own else OTHERS, hatch="///" if bar.out else None)
        within.bar_label(drawn, [bar.label_text], padding=4, color=INK, weight="bold" if own else "normal")
    within.set_title(panel.heading, loc="left", color=QUIET, size=9)
    within.set_yticks(list(rows), labels)
    within.set_ylim(len(labels) - 0.4, -0.6)
    # Labels are to the right of the bars: leave space beside the longest bar for the longest label.
    bars = [bar for bar in panel.bars if bar is not None]
    longest = max(bar.value for bar in bars) or 1
    within.set_xlim(0, longest * (1 + 0.13 * max(len(bar.label_text) for bar in bars) / 10 * 2.4))
    within.tick_params(length=0, bottom=False, labelbottom=False)
    within.spines[["top", "right", "bottom"]].set_visible(False)
    within.spines["left"].set_color("#d1d9e0")
