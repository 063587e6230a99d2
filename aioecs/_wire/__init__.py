"""The only room that knows aiobotocore: what is sent, how, and whether it was."""
