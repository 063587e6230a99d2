"""The witness: a body that is seen being written, and is written once."""

from __future__ import annotations

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

from aioecs._wire.port import TooLate, Witness


class WitnessedBody(BytesPayload):
    """A request's body that tells its witness before its first byte is written, and is written once at most."""

    def __init__(self, body: bytes, witness: Witness) -> None:
        super().__init__(body)
        self._witness = witness
        self.refused: SentTwice | TooLate | None = None
        """Set once it was asked for too late, or a second time: what came since is no word about the request."""

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it, once."""
        self._testify()
        await super().write(writer)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write it, once."""
        self._testify()
        await super().write_with_length(writer, content_length)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Hand it over whole: whoever asks may send it."""
        self._writes()
        return await super().as_bytes(encoding, errors)

    def _testify(self) -> None:
        self.refuse_if_written()
        self._writes()

    def _writes(self) -> None:
        try:
            self._witness.writes()
        except TooLate as late:
            self.refused = late
            raise

    def refuse_if_written(self) -> None:
        """Raise SentTwice if it is on the wire already."""
        if self._witness.on_wire:
            self.refused = SentTwice("aioecs sends a request once; something beneath it tried to send it again")
            raise self.refused


class SentTwice(ConnectionError):
    """A redirect or a foreign retry handler tried to send a request again."""
