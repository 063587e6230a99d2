"""Makes lines of text that are safe for a terminal and fit it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.text import Text

OPTIONS = {
    "region_name": "--region",
    "endpoint_url": "--endpoint-url",
    "profile_name": "--profile",
    "idempotency_key": "--idempotency-key",
    "wait_for_capacity": "--wait-for-capacity",
    "on_cancel": "--on-cancel",
    "started_by": "--started-by",
    "task_definition": "--task-definition",
    "container_instances": "--instances",
    "max_in_flight": "--concurrency",
}
"""The options of the command line, by the parameters of Python that the library's messages name."""
_PARAMETER = re.compile(rf"\b({'|'.join(OPTIONS)})\b=?")
_HTML = re.compile(r"<(?:!doctype|html|head|body)\b.*", re.IGNORECASE | re.DOTALL)


def error_line(message: str) -> Text:
    """Return an error message as one line."""
    return Text.assemble(("aioecs: ", "bold red"), one_line(with_option_names(message)))


def with_option_names(message: str) -> str:
    """Return a message of the library with options by their names on the command line, and without pages of HTML."""
    message = _PARAMETER.sub(lambda found: OPTIONS[found[1]], message)
    return _HTML.sub("(an HTML page)", message)


def one_line(message: str) -> str:
    """Return the message without line breaks, and without what a terminal could take for a command."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in message).split())


def printable(line: Text) -> Text:
    """Return the line with a question mark for each sign that a terminal could take for a command."""
    if line.plain.isprintable():
        return line
    safe = line.copy()
    safe.plain = "".join(sign if sign.isprintable() else "?" for sign in line.plain)
    return safe


def wrapped(line: Text, width: int) -> list[Text]:
    """Wrap a line at spaces to fit `width` columns; continuation lines are indented.

    Ids, ARNs and lines marked `no_wrap`, such as commands, stay whole: they must survive being copied.
    """
    if line.no_wrap or line.cell_len <= width:
        return [line]
    indent = len(line.plain) - len(line.plain.lstrip())
    first, further = " " * indent, " " * (indent + 2)
    lines: list[Text] = [Text(first)]
    for part in line[indent:].split(" "):
        if lines[-1].plain.strip() and lines[-1].cell_len + part.cell_len > width:
            lines[-1].rstrip()
            lines.append(Text(further))
        lines[-1].append_text(part).append(" ")
    lines[-1].rstrip()
    return lines


def joined(parts: Iterable[Text]) -> Text:
    """Return the parts with commas between them."""
    return Text(", ").join(parts)


def counted(count: int, label: str, style: str) -> Text:
    """Return a number with its label, in a style unless it is 0."""
    return Text(f"{count:,} {label}", style if count else "")
