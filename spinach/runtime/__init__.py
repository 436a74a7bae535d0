"""What only a worker process runs: its background duties, who starts and stops them, and how they fare."""
