"""Sends one request to ECS and reports what is known of its outcome. The only package that imports aiobotocore."""
