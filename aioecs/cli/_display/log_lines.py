"""Makes lines of output of the lines that containers wrote: text for a terminal or a pipe, or JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.text import Text

from aioecs import LogLine

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
_TAB = 8


class LogFormat:
    """How the lines of one task are shown: with the container's name in front where it has several."""

    def __init__(
        self, containers: Iterable[str], *, terminal: bool, as_json: bool = False, timestamps: bool = False
    ) -> None:
        self._names = list(containers)
        self._terminal = terminal
        self._as_json = as_json
        self._timestamps = timestamps

    def __call__(self, line: LogLine) -> Text | str:
        """Return a line as it is to be printed: with colours for a terminal, unchanged for a pipe."""
        if self._as_json:
            return log_json(line)
        time = f"{iso_milliseconds(line)} " if self._timestamps else ""
        name = f"{line.container:{max(map(len, self._names))}} | " if len(self._names) > 1 else ""
        if not self._terminal:
            return f"{time}{name}{line.text}"
        shown = Text.from_ansi(line.text)  # colours stay; what else a terminal could take for a command does not
        shown.expand_tabs(_TAB)
        return Text.assemble((time, "dim"), (name, self._colour(line.container)), shown, no_wrap=True)

    def _colour(self, container: str) -> str:
        if container not in self._names:
            self._names.append(container)
        return COLOURS[self._names.index(container) % len(COLOURS)]


def log_json(line: LogLine) -> str:
    """Return a line as an object of JSON."""
    return json.dumps({"container": line.container, "time": iso_milliseconds(line), "text": line.text})


def iso_milliseconds(line: LogLine) -> str:
    """Return the time of a line as ISO 8601 in UTC, to the millisecond, which CloudWatch Logs keeps."""
    return f"{line.time:%Y-%m-%dT%H:%M:%S}.{line.time.microsecond // 1000:03}Z"
