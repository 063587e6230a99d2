"""listing: lists that come in pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from aioecs._client.listing import Listing


class Book:
    """Pages of letters, which are counted as they are read."""

    def __init__(self, *pages: str) -> None:
        self.pages = pages
        self.read = 0
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> AsyncIterator[tuple[str, ...]]:
        for page in self.pages:
            self.read += 1
            if self.gate is not None:
                await self.gate.wait()
            yield tuple(page)

    def listing(self) -> Listing[str]:
        """Make the listing."""
        return Listing(self, "".join)


@pytest.mark.parametrize("pages", [[], [""], ["ab"], ["ab", "", "c"], ["ab", "cd", "ef"]])
async def test_awaited_it_is_the_whole_and_iterated_it_is_each(pages: list[str]) -> None:
    """In the order of the pages; it may be used again, and asks again."""
    book = Book(*pages)
    listing = book.listing()
    assert await listing == "".join(pages)
    assert [letter async for letter in listing] == list("".join(pages))
    assert await listing == "".join(pages)
    assert book.read == 3 * len(pages)


async def test_a_page_is_asked_for_when_it_is_needed() -> None:
    """Who goes early leaves the rest unread."""
    book = Book("ab", "cd", "ef")
    async with aclosing(aiter(book.listing())) as letters:  # type: ignore[type-var]
        async for letter in letters:
            if letter == "c":
                break
    assert book.read == 2


async def test_nothing_is_asked_for_before_it_is_used() -> None:
    """Making a listing sends nothing."""
    book = Book("ab")
    book.listing()
    assert book.read == 0


async def test_a_cancel_leaves_nothing_behind() -> None:
    """The listing may be read again."""
    book = Book("ab", "cd")
    book.gate = asyncio.Event()
    listing = book.listing()
    reading = asyncio.ensure_future(listing._read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    book.gate.set()
    assert await listing == "abcd"
