"""The queue: its messages, their order, and the requests that are sent to it."""
