"""Requests to JSON, written and checked in one pass by a function that is generated for each shape.

The function of a shape takes a value and returns its JSON, as `json.dumps` writes it. It returns None where it is not
certain that the value keeps every rule: a member of an unusual type, a limit that is broken or merely near, a member
that aioecs doesn't know. Then the caller has the value checked member by member (`checks.violations`), which names what
is wrong, and has it written by `plain.to_plain`. Nearly every request needs neither.

A member that is marked `varies` differs among requests that may share a call. Its place in the JSON holds `GAP` instead
of its value, and it is not checked: so the JSON is the same for all requests that differ in such members alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from json.encoder import encode_basestring_ascii
from typing import Any

import attrs

from aioecs._model.codec.hidden_slots import ENCODED, keep_encoded
from aioecs._model.codec.nothing import NOTHING
from aioecs._model.codec.plain import Kind, Member, members
from aioecs._model.codec.shape import Shape

Encode = Callable[[Any], str | None]
"""Return the JSON of a value; None where the value has to be checked member by member."""
Rule = Callable[[Any, str], bool]
"""Return whether a value, whose JSON is the second argument, keeps the rules that concern several members of it."""

Around = tuple[str, str]
"""What stands before and after a member's value: its name, and what parts it from the other members."""

GAP = "\0"
"""Stands for the value of a member that varies. JSON has no such character: it is escaped in strings."""
quoted = encode_basestring_ascii


@attrs.frozen
class Bounds:
    """What a member's value must keep: its size or number, what it is made of, and that it is there."""

    at_least: int = 0
    at_most: int | None = None
    fullmatch: Callable[[str], object] | None = None
    needed: bool = False


class Encoders:
    """The functions that write and check values, made when a shape is first met."""

    def __init__(self, bounds: Mapping[tuple[type[Shape], str], Bounds], rules: Mapping[type[Shape], Rule]) -> None:
        """Take the bounds by shape and member, and the rule of each shape that has one."""
        self._bounds = bounds
        self._rules = rules
        self._known: dict[type[Shape], Encode] = {}

    def text(self, value: Shape) -> str | None:
        """Return the JSON of a value, written once for each value; None where it has to be checked closely."""
        text: str | None = getattr(value, ENCODED, None)
        if text is None:
            shape = type(value)
            text = (self._known.get(shape) or self.of(shape))(value)
            if text is not None:
                keep_encoded(value, text)
        return text

    def of(self, shape: type[Shape]) -> Encode:
        """Return the function of a shape."""
        known = self._known.get(shape)
        if known is None:
            self._known[shape] = partial(self._by_name, shape)  # for a shape that holds itself
            known = self._known[shape] = _compiled(shape, self._source(shape), self._names(shape))
        return known

    def _by_name(self, shape: type[Shape], value: Shape) -> str | None:
        return self._known[shape](value)

    # ------------------------------------------------------------------------------------------------ generated source

    def _source(self, shape: type[Shape]) -> str:
        """Write the function of a shape. A member that may be absent is parted from the first that never is."""
        of = members(shape)
        first = next((at for at, member in enumerate(of) if self._is_present(shape, member)), None)
        source = ["def encode(value):", "    if value.extra is not NOTHING: return None"]
        source.append("    text = ''" if first is None else "    text = '{'")
        for at, member in enumerate(of):
            before = ", " if first is None or at > first else ""
            after = ", " if first is not None and at < first else ""
            source += [f"    {line}" for line in self._member(shape, member, at, (f'{before}"{member.wire}": ', after))]
        source.append("    text = f'{{{text[2:]}}}'" if first is None else "    text += '}'")
        if shape in self._rules:
            source.append("    if not rule(value, text): return None")
        return "\n".join([*source, "    return text", ""])

    def _bounds_of(self, shape: type[Shape], member: Member) -> Bounds:
        return self._bounds.get((shape, member.name), Bounds())

    def _is_present(self, shape: type[Shape], member: Member) -> bool:
        """Return whether a member is in the JSON of every value."""
        return member.varies or member.required or self._bounds_of(shape, member).needed

    def _member(self, shape: type[Shape], member: Member, at: int, around: Around) -> list[str]:
        if member.varies:
            return [f"text += {GAP.join(around)!r}"]
        read = f"held = value.{member.name}"
        written = [*_write(member.kind, around, at), *_within(member.kind, self._bounds_of(shape, member), at)]
        if self._is_present(shape, member):
            return [read, "if held is None: return None", *written]
        return [read, "if held is not None:", *[f"    {line}" for line in written]]

    def _names(self, shape: type[Shape]) -> dict[str, Any]:
        """Return what the source of a shape's function refers to."""
        of = members(shape)
        names: dict[str, Any] = {"NOTHING": NOTHING, "quoted": quoted, "joined": ", ".join}
        names["rule"] = self._rules.get(shape)
        # A value that requests share is written once, not once for each of them.
        shares = any(member.varies for member in of)
        for at, member in enumerate(of):
            base, enum = member.kind.base, member.kind.enum
            names[f"kind{at}"] = enum or base
            names[f"fullmatch{at}"] = self._bounds_of(shape, member).fullmatch
            if enum is not None:
                names[f"spelled{at}"] = _spelled(enum)
            elif issubclass(base, Shape):
                names[f"encode{at}"] = self.text if shares and member.kind.container is None else self.of(base)
        return names


def _compiled(shape: type[Shape], source: str, names: dict[str, Any]) -> Encode:
    exec(compile(source, f"<encode {shape.__name__}>", "exec"), names)  # noqa: S102 made of the names of members alone
    encode: Encode = names["encode"]
    return encode


def _spelled(enum: type[StrEnum]) -> dict[str, str]:
    return {member.value: quoted(member.value) for member in enum}


def _within(kind: Kind, bounds: Bounds, at: int) -> list[str]:
    """Write the lines that hold the value `held`, whose type is right, to its bounds."""
    size = "held" if kind.base is int and kind.container is None else "len(held)"
    lines = []
    if bounds.at_most is not None:
        lines.append(f"if not {bounds.at_least} <= {size} <= {bounds.at_most}: return None")
    elif bounds.at_least:
        lines.append(f"if {size} < {bounds.at_least}: return None")
    if bounds.fullmatch is not None:
        lines.append(f"if fullmatch{at}(held) is None: return None")
    return lines


def _write(kind: Kind, around: Around, at: int) -> list[str]:
    """Write the lines that add the member `held` to the JSON, or give up."""
    if kind.container is Sequence:
        return _write_list(kind, around, at)
    if kind.container is not None:
        return ["return None"]  # maps are rare, and their owner might change them
    if kind.base is bool:
        return [
            f"if held is True: text += {'true'.join(around)!r}",
            f"elif held is False: text += {'false'.join(around)!r}",
            "else: return None",
        ]
    return [*_checked(kind, "held", at), f"text += f'{_braced(_json(kind, 'held')).join(around)}'"]


def _braced(expression: str) -> str:
    return f"{{{expression}}}"


def _write_list(kind: Kind, around: Around, at: int) -> list[str]:
    checked, one = _checked(kind, "one", at), _json(kind, "one")
    if one == "quoted(one)":
        return [
            "if type(held) is not tuple: return None",
            "for one in held:",
            *[f"    {line}" for line in checked],
            f"text += f'{'[{joined(map(quoted, held))}]'.join(around)}'",
        ]
    return [
        "if type(held) is not tuple: return None",
        "parts = []",
        "for one in held:",
        *[f"    {line}" for line in checked],
        f"    parts.append({one})",
        f"text += f'{'[{joined(parts)}]'.join(around)}'",
    ]


def _checked(kind: Kind, held: str, at: int) -> list[str]:
    """Write the lines that check one value, or give up; they may make `part` its JSON."""
    if kind.enum is not None:
        return [
            f"if type({held}) is not str and type({held}) is not kind{at}: return None",
            f"part = spelled{at}.get({held})",
            "if part is None: return None",
        ]
    if issubclass(kind.base, Shape):
        return [
            f"if type({held}) is not kind{at}: return None",
            f"part = encode{at}({held})",
            "if part is None: return None",
        ]
    if kind.base is str:
        return [f"if type({held}) is not str: return None"]
    if kind.base is int:
        return [f"if type({held}) is not int or not {-(2**62)} < {held} < {2**62}: return None"]
    return ["return None"]  # numbers with a point and times are rare in requests


def _json(kind: Kind, held: str) -> str:
    """Write the expression of one value's JSON, once `_checked` has checked it."""
    if kind.enum is not None or issubclass(kind.base, Shape):
        return "part"
    return f"str({held})" if kind.base is int else f"quoted({held})"
