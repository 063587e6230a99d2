"""Where jobs are claimed, so that each one starts once: in memory, SQLite or DynamoDB."""
