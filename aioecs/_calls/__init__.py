"""One API call that starts tasks: prepared, sent, reconciled, and the callers that wait for it."""
