"""Keeps secrets out of the logs of botocore and aiobotocore.

At DEBUG they log request bodies (with environment overrides), answers (with secret keys of STS and SSO) and headers
with session tokens; at WARNING they log tracebacks with the output of a credential source. A filter on those loggers
removes the arguments of records that our own requests cause. A context variable marks our requests: other users of
botocore in the process log as before.

`redacted_logs()` works for any client, also for those of SQS, DynamoDB and CloudWatch Logs.
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
    """Remove the arguments from what botocore logs about the requests made in this block."""
    for logger in _LOGGERS:
        logger.addFilter(_redact)  # adding it again changes nothing
    token = _REDACTING.set(True)
    try:
        yield
    finally:
        _REDACTING.reset(token)
