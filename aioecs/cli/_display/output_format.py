"""Renders what a command has read: as a table, JSON or tab-separated text, whole or as a JMESPath query selects."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, cast

import attrs
import typer
from rich.text import Text

from aioecs.cli._options import OUTPUT, UsageError


class OutputFormat(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    TEXT = "text"


Output = Annotated[
    OutputFormat | None,
    typer.Option(
        "--output",
        help="Write a table, JSON with one value a line, or text with tabs and no heading.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        "--query",
        metavar="EXPR",
        help="Select from the list that --json writes, by JMESPath: '[].task_arn'.",
        rich_help_panel=OUTPUT,
    ),
]


@attrs.frozen
class Rendering:
    """The format of results, and the part of them that is selected."""

    format: OutputFormat = OutputFormat.TABLE
    select: Callable[[Any], Any] | None = None

    @property
    def is_table(self) -> bool:
        """Whether people read it."""
        return self.format is OutputFormat.TABLE and self.select is None

    def lines(
        self, items: Sequence[Mapping[str, Any]], table: Callable[[], Iterable[Text]]
    ) -> Iterable[Text] | Iterable[str]:
        """Return the lines for these items; `table` makes those of a table.

        Raises:
            UsageError: the query fails on them.
        """
        if self.is_table:
            return table()
        selected: Any = items if self.select is None else self.select(list(items))
        values = cast("list[Any]", selected) if isinstance(selected, (list, tuple)) else [selected]
        return map(as_text if self.format is OutputFormat.TEXT else json.dumps, values)


TABLE = Rendering()


def rendering(output: OutputFormat | None, query: str | None, *, as_json: bool) -> Rendering:
    """Return the rendering that the options ask for; `--json` is `--output json`.

    Raises:
        UsageError: they contradict each other, or the query is none.
    """
    if as_json and output not in (None, OutputFormat.JSON):
        raise UsageError(f"--json and --output {output} exclude each other")
    chosen = OutputFormat.JSON if as_json else output or OutputFormat.TABLE
    if query is not None and output is OutputFormat.TABLE:
        raise UsageError("--query and --output table exclude each other: what is selected has no columns")
    return Rendering(chosen, None if query is None else _compiled(query))


def _compiled(query: str) -> Callable[[Any], Any]:
    jmespath: Any = importlib.import_module("jmespath")  # botocore brings it
    errors: Any = importlib.import_module("jmespath.exceptions").JMESPathError
    try:
        expression = jmespath.compile(query)
    except errors as error:
        raise UsageError(f"--query: {_first_line(error)}") from None

    def select(value: Any) -> Any:
        try:
            return expression.search(value)
        except errors as error:
            raise UsageError(f"--query: {_first_line(error)}") from None

    return select


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def as_text(value: Any) -> str:
    """Return a value as one line: members of an object or a list with tabs between them, as the AWS CLI writes them."""
    if isinstance(value, dict):
        return "\t".join(map(_cell, cast("dict[str, Any]", value).values()))
    if isinstance(value, list):
        return "\t".join(map(_cell, value))
    return _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return "".join(sign if sign.isprintable() else " " for sign in value)
    return str(value) if value is None or isinstance(value, bool) else json.dumps(value)
