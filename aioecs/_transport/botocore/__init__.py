"""The botocore transport: requests sent through aiobotocore, for configurations that the native one can't serve."""
