"""What is wrong in a namespace: rules over a snapshot, each of which yields findings. Reads nothing itself."""
