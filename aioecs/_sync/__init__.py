"""What the blocking client is made of; `aioecs.sync` is where it is imported from."""
