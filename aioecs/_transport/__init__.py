"""The only package that knows aiobotocore: it sends one request and says what is known of it."""
