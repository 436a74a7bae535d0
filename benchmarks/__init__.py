"""Benchmarks: what a feature costs, as a ratio within one run. Nothing imports them."""
