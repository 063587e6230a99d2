"""Keep secrets out of botocore's debug log.

At DEBUG botocore logs request bodies (environment overrides among them), answers, and headers with session tokens.
A filter on the loggers that do so withholds what they say of our own requests, told apart by a context variable:
other users of botocore in the process log as before.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_OURS: ContextVar[bool] = ContextVar("aioecs_request", default=False)
_TALKATIVE = ("botocore.endpoint", "botocore.auth", "botocore.parsers", "botocore.httpsession")


def _withhold(record: logging.LogRecord) -> bool:
    if _OURS.get() and record.args:
        record.msg = f"{str(record.msg).partition('%')[0].strip()} (withheld by aioecs: it may hold secrets)"
        record.args = ()
    return True


@contextmanager
def withheld() -> Generator[None]:
    """Withhold what botocore logs of the requests made in this block."""
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_withhold)  # adding it again changes nothing
    ours = _OURS.set(True)
    try:
        yield
    finally:
        _OURS.reset(ours)
