"""What all calls of a client share: background tasks, admission, concurrency, rate limits, events, cancellation."""
