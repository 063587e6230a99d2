"""Generates almost valid answers, events and requests from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aioecs._model.codec.plain import Kind, members, to_plain
from aioecs._model.codec.shape import Shape

ODD_TEXTS = (
    "null",
    "true",
    "17",
    "-0",
    "-1.5",
    "1e400",
    "NaN",
    "Infinity",
    "1" * 30,
    "9" * 5_000,
    '"\\ud800"',
    '"\\u0000"',
    '"\x01"',
    '"1700000000"',
    '"1700000000.25"',
    '"Tue, 14 Nov 2023 22:13:20 GMT"',
    '"Tue, 14 Nov 2023 22:13:20 +999999999999"',
    '"0001-01-01T00:00:00+23:59"',
    '"' + "x" * 5_000 + '"',
    "[]",
    "{}",
    "[[]]",
    "[17]",
    "[{}]",
    '{"taskArn": 17}',
    '{"reason": [], "arn": {}}',
    "[" * 100 + "]" * 100,
    "[" * 300 + "]" * 300,
    '{"a":' * 3_000 + "1" + "}" * 3_000,
    "[" * 100_000,
    "01",
    "'x'",
    "",
)
"""Texts that replace a member; some are not JSON."""
ODD_BYTES = (
    b"\xff",
    b"\xed\xa0\x80",
    b"\x00",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\\",
    b"\\u12",
    b"\xc3",
    b"\n",
    b"1",
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    17,
    -1,
    1.5,
    float("nan"),
    "",
    "x" * 9_000,
    "\ud800",
    [],
    {},
    [[]],
    {"a": 1},
    b"x",
)
_PLACEHOLDER = "aioecs-placeholder"


def deep(levels: int) -> Any:
    """Return lists nested this deep."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


class Mutator(random.Random):
    """Generates random values of the shapes, and almost valid ones."""

    def text(self) -> str:
        """Return random text of any script."""
        return "".join(self.choice('aZ9-_/:. "\\é漢\U0001f600\n\0') for _ in range(self.randrange(1, 10)))

    def shape(self, shape: type[Shape]) -> Shape:
        """Return a random value with about half of its members."""
        return shape(
            **{each.name: self.kind(each.kind) for each in members(shape) if each.required or self.random() < 0.5}
        )

    def kind(self, kind: Kind) -> Any:
        """Return a random value of a member."""
        if kind.container is Sequence:
            return [self.one(kind) for _ in range(self.randrange(1, 4))]
        if kind.container is Mapping:
            return {f"k{number}": self.one(kind) for number in range(self.randrange(3))}
        return self.one(kind)

    def one(self, kind: Kind) -> Any:
        """Return one random value of a member's type."""
        if issubclass(kind.base, Shape):
            return self.shape(kind.base)
        if kind.enum is not None:
            return self.choice(list(kind.enum))
        makers: dict[type, Any] = {
            str: self.text,
            int: lambda: self.randrange(1 << 31),
            bool: lambda: self.random() < 0.5,
            float: self.random,
            datetime: lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.randrange(10**9)),
        }
        return makers[kind.base]()

    def plain(self, shape: type[Shape]) -> dict[str, Any]:
        """Return a random value in plain form."""
        return to_plain(self.shape(shape))

    # ------------------------------------------------------------------------------------------------- almost valid

    def corrupted(self, plain: Any) -> bytes:
        """Return the value as JSON, mostly with an error in it."""
        how = self.random()
        if how < 0.1:
            return json.dumps(plain).encode()
        if how < 0.6:
            return self.with_odd_member(plain)
        if how < 0.8:
            return self.with_odd_bytes(json.dumps(plain, ensure_ascii=self.random() < 0.5).encode())
        written = json.dumps(plain)
        return self.choice(
            (self._cut(written), written.encode("utf-16"), b"\xef\xbb\xbf" + written.encode(), self._twice(plain))
        )

    def with_odd_member(self, plain: Any) -> bytes:
        """Replace a member, or an entry of a list, with something odd."""
        copied = json.loads(json.dumps(plain))
        holder, at = self._place(copied)
        holder[at] = _PLACEHOLDER
        odd = self.choice(ODD_TEXTS)
        return json.dumps(copied).replace(f'"{_PLACEHOLDER}"', odd).encode("utf-8", "surrogatepass")

    def _place(self, value: Any) -> tuple[Any, Any]:
        """Choose a random place in a tree, places near the root more often."""
        holder: Any = {"": value}
        at: Any = ""
        while isinstance(inner := holder[at], (dict, list)) and inner and (at == "" or self.random() < 0.7):
            holder, at = inner, self.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        if at == "":
            value["newer"] = None
            return value, "newer"
        return holder, at

    def with_odd_bytes(self, written: bytes) -> bytes:
        """Change, insert or remove a few bytes."""
        for _ in range(self.randrange(1, 4)):
            at, until = sorted((self.randrange(len(written) + 1), self.randrange(len(written) + 1)))
            end = min(until, at + self.randrange(4))
            written = written[:at] + self.choice((b"", self.choice(ODD_BYTES), self.randbytes(1))) + written[end:]
        return written

    def _cut(self, written: str) -> bytes:
        return written[: self.randrange(len(written) + 1)].encode()

    def _twice(self, plain: Any) -> bytes:
        """Return an object with a member twice; the last one counts."""
        one, other = json.dumps(plain)[1:-1], self.with_odd_member(plain)[1:-1]
        return b"{" + b", ".join(part for part in (one.encode(), other) if part) + b"}"

    def odd(self) -> Any:
        """Return a value of another type than any member has."""
        return self.choice((*ODD_VALUES, deep(30), deep(100), deep(2_000), object()))
