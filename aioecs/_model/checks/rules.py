"""The rules that concern several members of a value, or more than their size; `table` has the limits of single members.

[model] is botocore's service model of ECS (2014-11-13) and the documentation in it.
"""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from aioecs._model.checks.table import OVERRIDES, VOLUME_SIZES, warn
from aioecs._model.codec.encoder import Rule
from aioecs._model.codec.plain import to_plain
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.overrides import KeyValuePair, TaskOverride
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.tags import Tag
from aioecs._model.shapes.volumes import EBSTagSpecification, TaskManagedEBSVolumeConfiguration
from aioecs.errors import InvalidRequest


def _check_overrides(value: TaskOverride, path: str) -> None:
    if value.inference_accelerator_overrides:
        warnings.warn(
            "overrides.inference_accelerator_overrides: Amazon Elastic Inference is closed to new customers since "
            "2023-04-15; ECS refuses it for them.",
            DeprecationWarning,
            stacklevel=2,
        )
    length = len(json.dumps(to_plain(value), separators=(",", ":"), ensure_ascii=False))
    if length > OVERRIDES:
        raise InvalidRequest(path.rstrip("."), f"at most {OVERRIDES} characters of compact JSON in all", length)


def _check_environment(value: KeyValuePair, path: str) -> None:
    if not value.name:
        raise InvalidRequest(f"{path}name", "is required and can't be empty")


# [model] TagKey and TagValue: letters, spaces, numbers and these.
_TAG_SIGNS = frozenset("_.:/=+-@")


def _check_tag(value: Tag, path: str) -> None:
    if value.key is None:
        raise InvalidRequest(f"{path}key", "is required")
    for name, text in (("key", value.key), ("value", value.value or "")):
        if text.lower().startswith("aws:"):
            raise InvalidRequest(f"{path}{name}", "may not begin with 'aws:', which is reserved", repr(text))
        if not all(sign in _TAG_SIGNS or unicodedata.category(sign)[0] in "LZN" for sign in text):
            raise InvalidRequest(f"{path}{name}", "letters, digits, spaces and _ . : / = + - @ only", repr(text))


def _check_unique_tags(value: StartTaskRequest | RunTaskRequest | EBSTagSpecification, path: str) -> None:
    seen: set[str | None] = set()
    for at, tag in enumerate(value.tags or ()):
        if tag.key in seen:
            raise InvalidRequest(f"{path}tags[{at}].key", "each key once", repr(tag.key))
        seen.add(tag.key)


def _check_volume(value: TaskManagedEBSVolumeConfiguration, path: str) -> None:
    if value.size_in_gib is None and value.snapshot_id is None:
        raise InvalidRequest(path.rstrip("."), "needs size_in_gib or snapshot_id")
    if value.size_in_gib is None or _is_usual_size(value):
        return
    low, high = _sizes(value)
    if value.size_in_gib < 1:
        raise InvalidRequest(f"{path}size_in_gib", f"{low} to {high} GiB", value.size_in_gib)
    warn(f"{path}size_in_gib", f"{low} to {high} GiB for {value.volume_type or 'gp3'}", value.size_in_gib)


def _sizes(value: TaskManagedEBSVolumeConfiguration) -> tuple[int, int]:
    """Return the sizes of a volume's type; [model] "gp3 is the default", an unknown type is left to ECS."""
    return VOLUME_SIZES.get(value.volume_type or "gp3", (1, 2**31))


def _is_usual_size(value: TaskManagedEBSVolumeConfiguration) -> bool:
    low, high = _sizes(value)
    return value.size_in_gib is not None and low <= value.size_in_gib <= high


RULES: Mapping[type[Shape], tuple[Callable[[Any, str], None], ...]] = {
    TaskOverride: (_check_overrides,),
    KeyValuePair: (_check_environment,),
    Tag: (_check_tag,),
    StartTaskRequest: (_check_unique_tags,),
    RunTaskRequest: (_check_unique_tags,),
    EBSTagSpecification: (_check_unique_tags,),
    TaskManagedEBSVolumeConfiguration: (_check_volume,),
}
"""What raises InvalidRequest, or warns, where a value breaks a rule; by shape. It takes the value and its path."""


# ------------------------------------------------------------------------------------- the same rules, as quick tests

_ASCII_TAG = re.compile(r"(?!aws:)[A-Za-z0-9 _.:/=+@-]*", re.ASCII | re.IGNORECASE)


def _keeps_overrides(value: TaskOverride, text: str) -> bool:
    """Return whether overrides are short enough; the JSON here is never shorter than the one whose characters count."""
    return len(text) <= OVERRIDES and not value.inference_accelerator_overrides


def _keeps_tag(value: Tag, _: str) -> bool:
    key, text = value.key or "", value.value or ""
    plain = _ASCII_TAG.fullmatch(key) is not None and _ASCII_TAG.fullmatch(text) is not None
    return plain or _keeps(_check_tag, value)


def _keeps_unique_tags(value: Any, _: str) -> bool:
    return not value.tags or _keeps(_check_unique_tags, value)


def _keeps_volume(value: TaskManagedEBSVolumeConfiguration, _: str) -> bool:
    return value.size_in_gib is not None and _is_usual_size(value)


def _keeps(rule: Callable[[Any, str], None], value: Any) -> bool:
    try:
        rule(value, "")
    except InvalidRequest:
        return False
    return True


FAST_RULES: Mapping[type[Shape], Rule] = {
    TaskOverride: _keeps_overrides,
    Tag: _keeps_tag,
    StartTaskRequest: _keeps_unique_tags,
    RunTaskRequest: _keeps_unique_tags,
    EBSTagSpecification: _keeps_unique_tags,
    TaskManagedEBSVolumeConfiguration: _keeps_volume,
}
"""Tests, by shape, whether a value certainly keeps its shape's rules; its members keep their limits."""
