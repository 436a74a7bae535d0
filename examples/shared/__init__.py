"""What the demo and `make observe` have in common: their processes, their folder, their screen, their end."""
