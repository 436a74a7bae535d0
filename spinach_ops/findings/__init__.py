"""What is wrong in a namespace: rules over a snapshot yield findings. Reads nothing itself."""
