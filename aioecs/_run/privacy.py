"""What keeps secrets out of botocore's log, for those above that have clients of their own: of SQS, of DynamoDB."""

from __future__ import annotations

from aioecs._wire.quiet import withheld

__all__ = ["withheld"]
