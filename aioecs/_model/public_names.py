"""Public names: a class says the module that it is imported from, and `help()` shows a line on each of its fields."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs


def publish(module: str, names: Iterable[str], namespace: Mapping[str, Any]) -> None:
    """Set `__module__` of public classes and functions, for reprs and pickles, and document their fields."""
    for name in names:
        public = namespace[name]
        defined_in: str = getattr(public, "__module__", "")
        if defined_in.startswith("aioecs._"):
            if isinstance(public, type) and attrs.has(public):
                docs: Any = _FieldDocs(public.__doc__ or "", defined_in)
                public.__doc__ = docs
            public.__module__ = module


class _FieldDocs:
    """The docstring of a class and of its fields, put together when it is first read.

    The string under a field is for readers of the source; Python keeps none of it at run time.
    """

    def __init__(self, doc: str, defined_in: str) -> None:
        self._doc = doc
        self._defined_in = defined_in
        self._whole: str | None = None

    def __get__(self, instance: object, owner: type) -> str:
        if self._whole is None:
            fields = list(_documented(self._defined_in, owner.__name__))
            lines = [f"    {name}: {' '.join(text.split())}" for name, text in fields]
            self._whole = "\n".join([inspect.cleandoc(self._doc), "", "Attributes:", *lines]) if lines else self._doc
        return self._whole


def _documented(module: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield each field of a class and the string that stands under it in the source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:  # installed without its source: then there is no more to say
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            for field, after in zip(node.body, node.body[1:], strict=False):
                text = _text_of(after)
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and text:
                    yield field.target.id, text


def _text_of(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return None
