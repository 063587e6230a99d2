"""Makes lines of text that are safe for a terminal and fit it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text


def error_line(message: str) -> Text:
    """Return an error message as one line."""
    return Text.assemble(("aioecs: ", "bold red"), one_line(message))


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
    """Wrap a line between words to fit `width` columns; continuation lines are indented.

    Ids, ARNs and lines marked `no_wrap`, such as commands, stay whole: they must survive being copied.
    """
    if line.no_wrap or line.cell_len <= width:
        return [line]
    indent = len(line.plain) - len(line.plain.lstrip())
    first, further = " " * indent, " " * (indent + 2)
    lines: list[Text] = [Text(first)]
    for word in line[indent:].split(" "):
        if lines[-1].plain.strip() and lines[-1].cell_len + word.cell_len > width:
            lines[-1].rstrip()
            lines.append(Text(further))
        lines[-1].append_text(word).append(" ")
    lines[-1].rstrip()
    return lines


def joined(parts: Iterable[Text]) -> Text:
    """Return the parts with commas between them."""
    return Text(", ").join(parts)


def counted(count: int, word: str, style: str) -> Text:
    """Return a number with its word, in a style unless it is 0."""
    return Text(f"{count:,} {word}", style if count else "")
