"""What the demo and `make observe` share: child processes, data folder, console, termination."""
