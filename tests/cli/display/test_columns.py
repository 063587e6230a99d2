"""Columns that fit a terminal, and bars."""

from __future__ import annotations

import pytest
from rich.text import Text

from aioecs.cli._display import columns
from aioecs.cli._display.columns import Column, bar, lines

COLUMNS = [
    Column("ID", ["0123456789", "abc"]),
    Column("STATE", [Text("UP", "green"), "DOWN"], 1),
    Column("NOTHING", ["", Text()], 1),
    Column("WIDE", ["日本", "x"], 2),
]


def test_each_cell_is_measured_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many rows costs as much a row as a short one."""
    measured: list[Text | str] = []
    width = columns._width

    def counted_width(cell: Text | str) -> int:
        measured.append(cell)
        return width(cell)

    monkeypatch.setattr(columns, "_width", counted_width)
    assert len(lines([Column("ID", ["x"] * 500), Column("B", ["y"] * 500, 1)], 80)) == 501
    assert len(measured) < 10 * 1000


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, ["ID          STATE  WIDE", "0123456789  UP     日本", "abc         DOWN   x"]),
        (23, ["ID          STATE  WIDE", "0123456789  UP     日本", "abc         DOWN   x"]),
        (22, ["ID          STATE", "0123456789  UP", "abc         DOWN"]),
        (16, ["ID", "0123456789", "abc"]),
        (3, ["ID", "0123456789", "abc"]),
    ],
)
def test_what_fits(width: int | None, shown: list[str]) -> None:
    """Columns are left out whole, the least of them first; what stays is never cut, and empty ones never show."""
    assert [line.plain for line in lines(COLUMNS, width)] == shown


def test_nothing_to_show() -> None:
    """Without rows there are no headings."""
    assert lines([Column("ID", [])]) == []


@pytest.mark.parametrize(
    ("free", "total", "drawn"),
    [
        (100, 100, "[..........]"),
        (99, 100, "[#.........]"),
        (999, 1000, "[..........]"),
        (50, 100, "[#####.....]"),
        (1, 100, "[##########]"),
        (0, 100, "[##########]"),
        (-5, 100, "[##########]"),
        (200, 100, "[..........]"),
        (0, 0, ""),
    ],
)
def test_bars(free: int, total: int, drawn: str) -> None:
    """What is taken is drawn, a little of it too, but not a thousandth; of nothing there is no bar."""
    assert bar(free, total).plain == drawn
