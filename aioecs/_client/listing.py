"""Lists that come in pages: await one for the whole, or iterate over it as the pages come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class Listing(Generic[R]):
    """A list of ARNs that ECS gives in pages of at most 100.

    `async for arn in listing` requests a page when it is needed; `await listing` reads all pages and returns one
    answer with everything. It may be used again, and then reads again. A cancel leaves nothing behind.
    """

    def __init__(
        self, pages: Callable[[], AsyncIterator[tuple[str, ...]]], whole: Callable[[tuple[str, ...]], R]
    ) -> None:
        self._pages = pages
        self._whole = whole

    async def __aiter__(self) -> AsyncIterator[str]:
        async for page in self._pages():
            for arn in page:
                yield arn

    def __await__(self) -> Generator[Any, None, R]:
        return self._read().__await__()

    async def _read(self) -> R:
        return self._whole(tuple([arn async for page in self._pages() for arn in page]))
