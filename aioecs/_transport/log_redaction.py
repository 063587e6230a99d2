"""Keep secrets out of the log of botocore and aiobotocore.

At DEBUG they log request bodies (environment overrides among them), answers (secret keys, where STS or SSO gives
them) and headers with session tokens; at WARNING, tracebacks with what a credential source said. A filter on the
loggers that do so withholds what they say of our own requests, told apart by a context variable: other users of
botocore in the process log as before.

`withheld()` serves any client, those of SQS, DynamoDB and CloudWatch Logs too: whatever is awaited in the block.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_REDACTING: ContextVar[bool] = ContextVar("aioecs_request", default=False)
_LOGGER_NAMES = (
    *("botocore.auth", "botocore.credentials", "botocore.endpoint", "botocore.handlers", "botocore.httpsession"),
    *("botocore.parsers", "botocore.regions", "botocore.retryhandler", "botocore.tokens", "botocore.utils"),
    *("aiobotocore.credentials", "aiobotocore.regions", "aiobotocore.tokens", "aiobotocore.utils"),
)
_LOGGERS = tuple(map(logging.getLogger, _LOGGER_NAMES))


def _redact(record: logging.LogRecord) -> bool:
    if _REDACTING.get() and (record.args or record.exc_info):
        kind = f" {record.exc_info[0].__name__}" if record.exc_info and record.exc_info[0] else ""
        record.msg = f"{str(record.msg).partition('%')[0].strip()}{kind} (withheld by aioecs: it may hold secrets)"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True


@contextmanager
def redacted_logs() -> Generator[None]:
    """Withhold what botocore logs of the requests made in this block."""
    for logger in _LOGGERS:
        logger.addFilter(_redact)  # adding it again changes nothing
    ours = _REDACTING.set(True)
    try:
        yield
    finally:
        _REDACTING.reset(ours)
