"""What a task definition is made of."""
