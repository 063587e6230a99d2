"""The queue: its messages, their order, and what is sent to it."""
