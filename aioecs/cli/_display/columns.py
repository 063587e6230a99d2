"""Columns of text that fit a terminal: a column that doesn't fit is left out whole, never cut. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from rich.text import Text

from aioecs.cli._display.text_lines import printable

_GAP = 2
_BAR = 10


@attrs.frozen
class Column:
    """A heading and a cell a row. If not all fit, columns of the highest `rank` are left out first; those of 0 stay."""

    heading: str
    cells: Sequence[Text | str]
    rank: int = 0

    @property
    def width(self) -> int:
        """How many terminal cells it takes."""
        return max(map(_width, (self.heading, *self.cells)))

    @property
    def empty(self) -> bool:
        """Whether all of its cells are empty."""
        return not any(map(_width, self.cells))


def lines(columns: Sequence[Column], width: int | None = None) -> list[Text]:
    """Lay columns out, the headings first. Ids stay whole, for they are there to be copied.

    Into `width` terminal cells go those that fit, in their order; None, a pipe's, takes all. Empty ones are left out.
    """
    kept = [_printable(column) for column in columns if not column.empty]
    while width is not None and _total(kept) > width and (most := max(column.rank for column in kept)) > 0:
        kept = [column for column in kept if column.rank < most]
    if not kept:
        return []
    widths = [column.width for column in kept]  # measured once, and not for each row
    heading = _line([Text(column.heading, "bold") for column in kept], widths)
    return [heading, *(_line(row, widths) for row in zip(*(column.cells for column in kept), strict=True))]


def bar(free: int, total: int) -> Text:
    """Draw what is taken of a total, in ASCII: no terminal garbles it."""
    if total <= 0:
        return Text()
    taken = min(max(total - free, 0), total)
    filled = -(-taken * _BAR // total) if 100 * taken >= total else 0  # a little shows, next to nothing doesn't
    style = "red" if filled == _BAR else "yellow" if filled * 4 >= _BAR * 3 else "green"
    return Text.assemble("[", ("#" * filled, style), ("." * (_BAR - filled), "dim"), "]")


def _printable(column: Column) -> Column:
    """Return the column without what a terminal could take for a command, before it is measured."""
    cells = [printable(cell if isinstance(cell, Text) else Text(cell)) for cell in column.cells]
    return attrs.evolve(column, cells=cells)


def _line(cells: Sequence[Text | str], widths: Sequence[int]) -> Text:
    line = Text()
    for cell, width in zip(cells, widths, strict=True):
        line.append_text(cell if isinstance(cell, Text) else Text(cell))
        line.append(" " * (width - _width(cell) + _GAP))
    line.rstrip()
    return line


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _width(cell: Text | str) -> int:
    return cell.cell_len if isinstance(cell, Text) else Text(cell).cell_len
