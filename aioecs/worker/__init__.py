"""Workers that start each job once: messages of SQS, a ledger of jobs, and starts that are settled before they go."""

from aioecs.worker._lambda import BatchResponse, ItemFailure, start_records
from aioecs.worker._ledgers.claims import Claimed, ClaimOutcome, Entry
from aioecs.worker._ledgers.dynamodb import DynamoDBLedger
from aioecs.worker._ledgers.ledger import EntryError, Ledger, LedgerError, MemoryLedger
from aioecs.worker._ledgers.sqlite import SQLiteLedger
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import QueueError
from aioecs.worker._statistics import WorkerStatistics
from aioecs.worker._task_events import TaskEvents, TaskEventStatistics
from aioecs.worker._worker import Worker

__all__ = [
    "BatchResponse",
    "ClaimOutcome",
    "Claimed",
    "DynamoDBLedger",
    "Entry",
    "EntryError",
    "ItemFailure",
    "Ledger",
    "LedgerError",
    "MemoryLedger",
    "Message",
    "QueueError",
    "SQLiteLedger",
    "TaskEventStatistics",
    "TaskEvents",
    "Worker",
    "WorkerStatistics",
    "start_records",
]
