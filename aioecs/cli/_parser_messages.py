"""Says what is wrong with the value of an option, in place of the parser's message. Pure."""

from __future__ import annotations

import re

_RULES = (
    (r"Input should be a valid integer.*", "expected a whole number"),
    (r"Input should be a valid number.*", "expected a number"),
    (r"Input should be a finite number.*", "expected a finite number"),
    (r"Input should be greater than or equal to (\S+)", r"expected \1 or more"),
    (r"Input should be less than or equal to (\S+)", r"expected \1 or less"),
    (r"Unable to parse input string as an integer.*", "expected a shorter whole number"),
    (r"Input should be (.*)", r"expected \1"),
    (r"Value error, ", ""),
)
_READ = tuple((re.compile(pattern), plain) for pattern, plain in _RULES)


def plain_message(message: str) -> str:
    """Return the parser's message, without what its library for values adds, and without its dot."""
    for pattern, plain in _READ:
        message = pattern.sub(plain, message)
    return message.removesuffix(".")
