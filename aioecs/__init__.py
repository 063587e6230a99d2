"""Start Amazon ECS tasks from asyncio: never twice, never lost, never a lie.

Open a `Client` and await its methods. Requests and responses have the names of ECS's service model; the shapes that
they are made of are in `aioecs.types`. The README has a tour.
"""

from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from aioecs import types as types
    from aioecs._exports import *  # noqa: F403 its __all__ says which
    from aioecs._exports import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        """Import all public names when the first of them is needed; `aioecs --version` and help need none.

        Raises:
            AttributeError: there is no such name; the message says where a shape is that isn't at the top level.
        """
        if name == "__all__" or not name.startswith("_"):
            _import_all()
            if name in globals():
                return globals()[name]
        types = globals().get("types")
        hint = f"; it is aioecs.types.{name}" if name in getattr(types, "__all__", ()) else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")

    def __dir__() -> list[str]:
        _import_all()
        return sorted(globals())

    def _import_all() -> None:
        from aioecs import _exports

        imported = hasattr(_exports, "__all__")  # it has none while it is being imported
        if imported and "__all__" not in globals():
            globals().update({name: getattr(_exports, name) for name in _exports.__all__}, __all__=_exports.__all__)
