"""`spinach-top`: queues and workers of a namespace, straight from Redis."""
