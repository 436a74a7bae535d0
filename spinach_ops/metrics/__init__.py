"""Prometheus metrics: what a process counts from its signals, and what a namespace looks like at each scrape."""
