"""The shapes of ECS's service model: requests, responses and what they are made of."""
