"""How results are written: as a table, JSON or text, and what a query selects."""

from __future__ import annotations

from typing import Any

import pytest
from rich.text import Text

from aioecs.cli._display.output_format import TABLE, OutputFormat, Rendering, as_text, rendering
from aioecs.cli._options import UsageError

ITEMS: list[dict[str, Any]] = [
    {"arn": "a", "status": "RUNNING", "codes": [0, None]},
    {"arn": "b", "status": None, "codes": []},
]


def shown(output: OutputFormat | None = None, query: str | None = None, *, as_json: bool = False) -> list[str]:
    """Render the items."""
    lines = rendering(output, query, as_json=as_json).lines(ITEMS, lambda: [Text("a table")])
    return [line.plain if isinstance(line, Text) else line for line in lines]


def test_a_table() -> None:
    """Without an option it is a table."""
    assert shown() == shown(OutputFormat.TABLE) == ["a table"]
    assert rendering(None, None, as_json=False) == TABLE


def test_json() -> None:
    """A value a line."""
    line = '{"arn": "a", "status": "RUNNING", "codes": [0, null]}'
    assert shown(as_json=True)[0] == shown(OutputFormat.JSON)[0] == line


def test_text() -> None:
    """Tabs between the members, and no heading."""
    assert shown(OutputFormat.TEXT) == ["a\tRUNNING\t[0, null]", "b\tNone\t[]"]


@pytest.mark.parametrize(
    ("output", "query", "lines"),
    [
        (None, "[].arn", ['"a"', '"b"']),
        (OutputFormat.TEXT, "[].arn", ["a", "b"]),
        (OutputFormat.TEXT, "[].[arn, status]", ["a\tRUNNING", "b\tNone"]),
        (OutputFormat.JSON, "[?status=='RUNNING'].{id: arn}", ['{"id": "a"}']),
        (OutputFormat.TEXT, "length(@)", ["2"]),
        (None, "[0]", ['{"arn": "a", "status": "RUNNING", "codes": [0, null]}']),
        (OutputFormat.TEXT, "nothing", ["None"]),
    ],
)
def test_queries(output: OutputFormat | None, query: str, lines: list[str]) -> None:
    """They select from the whole list; a list that is selected has a line for each value."""
    assert shown(output, query) == lines


@pytest.mark.parametrize(
    ("output", "query", "as_json", "message"),
    [
        (OutputFormat.TABLE, "[]", False, "--query and --output table exclude each other"),
        (OutputFormat.TEXT, None, True, "--json and --output text exclude each other"),
        (None, "[", False, "--query: "),
        (None, "nothing(@)", False, "--query: Unknown function: nothing()"),
    ],
)
def test_what_is_refused(output: OutputFormat | None, query: str | None, as_json: bool, message: str) -> None:
    """Before anything is read, but for functions that fail on what was read."""
    with pytest.raises(UsageError) as refused:
        list(rendering(output, query, as_json=as_json).lines(ITEMS, list))
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_text_cannot_control_a_terminal() -> None:
    """Nor break a line."""
    assert as_text(["a\nb", "\x1b[2J", True, 1.5]) == "a b\t [2J\tTrue\t1.5"
    assert Rendering(OutputFormat.TEXT).is_table is False
