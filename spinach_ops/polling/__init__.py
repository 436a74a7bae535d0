"""Polls a namespace again and again, and derives rates and trends from the snapshots. Knows no screen."""
