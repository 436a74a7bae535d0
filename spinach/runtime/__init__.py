"""What only a worker process runs: its background duties, their supervisor, and their vitals."""
