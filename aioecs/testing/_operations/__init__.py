"""The operations of the local ECS: what each one checks, does and answers."""
