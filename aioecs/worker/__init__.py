"""The ledger of jobs: what makes a job start once across redelivery, crashes and machines."""

from aioecs.worker._claims import Claimed, Entry, Verdict
from aioecs.worker._dynamodb import DynamoDBLedger
from aioecs.worker._ledger import Ledger, LedgerError, MemoryLedger
from aioecs.worker._sqlite import SQLiteLedger

__all__ = ["Claimed", "DynamoDBLedger", "Entry", "Ledger", "LedgerError", "MemoryLedger", "SQLiteLedger", "Verdict"]
