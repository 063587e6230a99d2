"""Labels that tasks and other resources carry."""

from __future__ import annotations

from aioecs._model.codec.shape import Shape, request_shape


@request_shape
class Tag(Shape):
    """A label on a resource: a key and an optional value.

    At most 50 to a resource, each key once. Letters, digits, spaces and `_ . : / = + - @` may stand in both; case
    matters, and the prefix `aws:`, in any case, is reserved [model].
    """

    key: str | None = None
    """What the tag is about; 1 to 128 characters [model].

    ECS needs one, though the model does not mark it as required.
    """
    value: str | None = None
    """What the tag says; at most 256 characters, and it may be empty [model]."""
