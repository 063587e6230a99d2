"""Bars in SVG, small enough to keep beside the code and clear on a light page and on a dark one.

A chart draws its own ground, so that it stays legible where a page's theme is not the reader's system's. No plotting
library: these are rectangles and words, and so they differ from run to run only in the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

import attrs

WIDTH, MARGIN, LABELS, ROW, BAR = 820, 24, 236, 30, 16
_GAP, _WORD = 28, 7.0  # between panels; about the width of a letter of a bar's word

_STYLE = """
  .ground { fill: #ffffff; stroke: #d1d9e0 } .title { fill: #1f2328; font-weight: 600; font-size: 16px }
  .note { fill: #59636e; font-size: 12.5px } .label, .word { fill: #1f2328; font-size: 13px }
  .own { font-weight: 600 } .bar { fill: #b6bfc9 } .bar.own { fill: #1a7f5a } .axis { stroke: #d1d9e0 }
  .bar.out { fill: url(#out) } .stripe { stroke: #b6bfc9 }
  text { font-family: -apple-system, BlinkMacSystemFont, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #151b23; stroke: #3d444d } .title, .label, .word { fill: #f0f6fc } .note { fill: #9198a1 }
    .bar { fill: #59636e } .bar.own { fill: #3fb984 } .axis { stroke: #3d444d } .stripe { stroke: #59636e }
  }
"""
_HATCHED = (
    '<pattern id="out" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="stripe" x1="2" y1="0" x2="2" y2="6" stroke-width="2.5"/></pattern>'
)


@attrs.frozen
class Bar:
    """One figure and the word beside it; hatched if it is out of the running."""

    value: float
    word: str
    out: bool = False


@attrs.frozen
class Panel:
    """A column of bars under a heading, one for each label of the chart; None where there is no figure."""

    heading: str
    bars: Sequence[Bar | None]


def chart(title: str, notes: Sequence[str], labels: Sequence[str], panels: Sequence[Panel]) -> str:
    """Draw it; labels that begin with "aioecs" stand out."""
    top = 74 + 18 * len(notes)
    bottom = top + ROW * len(labels)
    width = (WIDTH - 2 * MARGIN - LABELS - _GAP * (len(panels) - 1)) / len(panels)
    words = "; ".join(_sentence(label, panels, row) for row, label in enumerate(labels))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 18}" width="{WIDTH}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(words)}</desc>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_HATCHED}</defs>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{bottom + 17}" rx="6"/>',
        _text("title", MARGIN, 34, title),
        *(_text("note", MARGIN, 56 + 18 * number, note) for number, note in enumerate(notes)),
        *(_text(f"label{_own(label)}", MARGIN, _middle(top, row), label) for row, label in enumerate(labels)),
    ]
    for number, panel in enumerate(panels):
        lines += _panel(panel, labels, MARGIN + LABELS + number * (width + _GAP), top, width)
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, labels: Sequence[str], left: float, top: int, width: float) -> list[str]:
    bars = [bar for bar in panel.bars if bar is not None]
    room = width - max(len(bar.word) for bar in bars) * _WORD - 10
    scale = room / (max(bar.value for bar in bars) or 1)
    lines = [
        _text("note", left, top - 6, panel.heading),
        f'<line class="axis" x1="{left:g}" y1="{top}" x2="{left:g}" y2="{top + ROW * len(labels)}"/>',
    ]
    for row, (label, bar) in enumerate(zip(labels, panel.bars, strict=True)):
        if bar is None:
            lines.append(_text("note", left + 8, _middle(top, row), "not measured"))
            continue
        long, y = bar.value * scale, top + ROW * row + (ROW - BAR) / 2
        kind = f"bar{_own(label)}{' out' if bar.out else ''}"
        lines.append(f'<rect class="{kind}" x="{left:.1f}" y="{y:g}" width="{long:.1f}" height="{BAR}" rx="2"/>')
        lines.append(_text(f"word{_own(label)}", left + long + 8, _middle(top, row), bar.word))
    return lines


def _sentence(label: str, panels: Sequence[Panel], row: int) -> str:
    said = ((panel.heading, bar) for panel in panels if (bar := panel.bars[row]) is not None)
    return f"{label}: " + ", ".join(f"{heading} {bar.word}".strip() for heading, bar in said)


def _middle(top: int, row: int) -> float:
    return top + ROW * row + ROW / 2 + 4.5


def _own(label: str) -> str:
    return " own" if label.startswith("aioecs") else ""


def _text(kind: str, x: float, y: float, words: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:g}">{escape(words)}</text>'
