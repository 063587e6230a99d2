"""Values to ECS's plain form (dicts, lists and scalars under ECS's names) and back.

Both directions follow the annotations of the shapes, which are read once a class. An answer is taken as it is: an
enum's new value stays a string, an unknown member goes to `extra`, and a value of the wrong type is kept. An answer
that names a task must reach the caller, whatever else is unusual in it.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs

from aioecs._model.codec.hidden_slots import CODEC
from aioecs._model.codec.nothing import NOTHING
from aioecs._model.codec.shape import (
    Decoders,
    Shape,
    decoded,
    is_lazy,
    is_own,
    is_required,
    is_secret,
    lazy_value,
    varies,
    wire_name,
)
from aioecs.errors import InvalidRequest

S = TypeVar("S", bound=Shape)


@attrs.frozen
class Kind:
    """What a member holds: one of `one_of` if it is an enum, else a `base`, in a list or map if `container` says so."""

    base: type
    container: type | None = None
    enum: type[StrEnum] | None = None


@attrs.frozen
class Member:
    """One member of a shape, from its annotation and its metadata."""

    name: str
    wire: str
    kind: Kind
    required: bool
    secret: bool
    varies: bool = False


def _members(shape: type[Any]) -> tuple[Member, ...]:
    """Return the members of a shape, in the order of the service model, `extra` left out."""
    hints = get_type_hints(shape)
    return tuple(
        Member(
            field.name, wire_name(field), _kind(hints[field.name]), is_required(field), is_secret(field), varies(field)
        )
        for field in attrs.fields(shape)
        if field.name != "extra" and not is_own(field)
    )


# mypy takes the classes that dataclass_transform makes for unhashable; they are classes like any other.
members = cast("Callable[[type[Shape]], tuple[Member, ...]]", cache(_members))


def _kind(hint: Any) -> Kind:
    alternatives = [part for part in _parts(hint) if part is not type(None)]
    enum = next((part for part in alternatives if isinstance(part, type) and issubclass(part, StrEnum)), None)
    if enum is not None:
        return Kind(str, enum=enum)
    (only,) = alternatives
    origin = get_origin(only)
    if origin is Sequence:
        inner = _kind(get_args(only)[0])
        return Kind(inner.base, Sequence, inner.enum)
    if origin is Mapping:
        return Kind(get_args(only)[1], Mapping)
    return Kind(only)


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def to_plain(value: Shape, *, extra: bool = True, moments: bool = False) -> dict[str, Any]:
    """Return the value as ECS's JSON has it: members that are None left out, those of `extra` put in if asked.

    Times are epoch seconds, as ECS takes them, or datetimes with `moments`.
    """
    plain: dict[str, Any] = {}
    for member in members(type(value)):
        held = getattr(value, member.name)
        if held is not None:
            plain[member.wire] = _plain(held, extra, moments)
    if extra:
        plain.update(value.extra)
    return plain


def _plain(held: Any, extra: bool, moments: bool) -> Any:
    if isinstance(held, Shape):
        return to_plain(held, extra=extra, moments=moments)
    if isinstance(held, tuple):
        return [_plain(one, extra, moments) for one in held]
    if isinstance(held, datetime):
        return held if moments else held.timestamp()
    return str(held) if isinstance(held, StrEnum) else held


def check_spelling(shape: type[Shape], plain: Any, path: str) -> None:
    """Refuse a plain form whose members are spelled as in Python: they would be kept as unknown members.

    Raises:
        InvalidRequest: it is no mapping, or has such a member; it is named, and its value isn't shown.
    """
    if not isinstance(plain, Mapping):
        raise InvalidRequest(path, "a mapping of members as boto3 spells them", f"a {type(plain).__name__}")
    for member in members(shape):
        if member.name in plain and member.name != member.wire:
            raise InvalidRequest(f"{path}.{member.name}", f"goes by {member.wire} in a dict")
        if issubclass(member.kind.base, Shape):
            held = plain.get(member.wire)
            for at, one in enumerate(held if isinstance(held, (list, tuple)) else [held]):
                if isinstance(one, Mapping):
                    check_spelling(member.kind.base, one, f"{path}.{member.wire}[{at}]")


def from_plain(shape: type[S], plain: Mapping[str, Any]) -> S:
    """Make a value of ECS's plain form."""
    known = readers(shape)
    given: dict[str, Any] = dict.fromkeys(needed(shape))
    extra: dict[str, Any] = {}
    for wire, held in plain.items():
        reader = known.get(wire)
        if reader is None:
            extra[wire] = held
        elif held is not None:
            name, read = reader
            given[name] = held if read is None else read(held)
    return shape(extra=extra, **given) if extra else shape(**given)


def lazy_from_plain(shape: type[S], plain: dict[str, Any]) -> S:
    """Make the same value as `from_plain`, whose members are decoded when they are first asked for.

    An answer of ten tasks has hundreds of members, of which most callers read a few. The plain form then belongs to
    the value: nobody may change it. What requests hold too, such as overrides, is decoded at once (`request_shape`).
    """
    return lazy_value(shape, plain) if is_lazy(shape) else decoded(shape, plain, decoders(shape))


def _decoders(shape: type[Any]) -> Decoders:
    known = {member.name: member for member in members(shape)}
    return {
        field.name: _decoder(field, known.get(field.name)) if field.name != "extra" else _decoder_of_extra(shape)
        for field in attrs.fields(shape)
    }


def _decoder(field: attrs.Attribute[Any], member: Member | None) -> Callable[[Mapping[str, Any]], Any]:
    """Return what decodes one member; where it is absent or null, the member has its default."""
    default: Any = None if member is not None and member.required else field.default
    make: Callable[[], Any] | None = getattr(default, "factory", None)  # of an attrs.Factory
    if member is None:
        return lambda _: make() if make is not None else default
    own = cast("Callable[[Any], Any] | None", field.converter)
    wire, read = member.wire, _reader(member.kind, lazy_from_plain)

    def decode(plain: Mapping[str, Any]) -> Any:
        held = plain.get(wire)
        if held is None:
            return make() if make is not None else default
        if read is not None:
            held = read(held)
        return own(held) if own is not None else held

    return decode


def _decoder_of_extra(shape: type[Any]) -> Callable[[Mapping[str, Any]], Any]:
    wires = frozenset(member.wire for member in members(shape))
    return lambda plain: {wire: held for wire, held in plain.items() if wire not in wires} or NOTHING


def _needed(shape: type[Any]) -> tuple[str, ...]:
    return tuple(member.name for member in members(shape) if member.required)


def _readers(shape: type[Any]) -> dict[str, tuple[str, Callable[[Any], Any] | None]]:
    return {member.wire: (member.name, _reader(member.kind)) for member in members(shape)}


needed = cast("Callable[[type[Shape]], tuple[str, ...]]", cache(_needed))
decoders = cast("Callable[[type[Shape]], Decoders]", cache(_decoders))
readers = cast("Callable[[type[Shape]], dict[str, tuple[str, Callable[[Any], Any] | None]]]", cache(_readers))


def learn(shape: type[Shape]) -> None:
    """Read the annotations of a shape and of all that it holds now, not when the first value of each is decoded."""
    decoders(shape)
    readers(shape)
    for member in members(shape):
        if issubclass(member.kind.base, Shape) and member.kind.base is not shape:
            learn(member.kind.base)


def _reader(kind: Kind, make: Callable[[type[Any], Any], Any] = from_plain) -> Callable[[Any], Any] | None:
    """Return what decodes one member, None where it is taken as it is; `make` makes the shapes in it."""
    one = _reader_of_one(kind, make)
    if one is None:
        return None
    if kind.container is Sequence:
        return lambda held: [one(part) for part in held] if isinstance(held, (list, tuple)) else held
    return one


def _reader_of_one(kind: Kind, make: Callable[[type[Any], Any], Any]) -> Callable[[Any], Any] | None:
    if kind.enum is not None:
        spelled: dict[str, StrEnum] = {member.value: member for member in kind.enum}
        return lambda held: spelled.get(held, held) if isinstance(held, str) else held
    if kind.base is datetime:
        return _moment
    if issubclass(kind.base, Shape):
        of: type[Shape] = kind.base
        return lambda held: make(of, held) if isinstance(held, dict) else held
    return None


def _moment(held: Any) -> Any:
    """Decode a time as ECS's API gives it (epoch seconds), as its events do (ISO 8601), or as botocore takes it."""
    try:
        if isinstance(held, str):
            moment = _written_moment(held)
            return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return datetime.fromtimestamp(held, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return held


def _written_moment(held: str) -> datetime:
    """Decode epoch seconds in a string, a time in ISO 8601, or an HTTP date."""
    if _SECONDS.fullmatch(held):
        return datetime.fromtimestamp(float(held), UTC)
    try:
        return datetime.fromisoformat(held)
    except ValueError:
        return parsedate_to_datetime(held)


_SECONDS = re.compile(r"\s*-?\d+(\.\d*)?([eE][+-]?\d+)?\s*", re.ASCII)


CODEC.check_spelling, CODEC.decoders, CODEC.from_plain, CODEC.to_plain = check_spelling, decoders, from_plain, to_plain
