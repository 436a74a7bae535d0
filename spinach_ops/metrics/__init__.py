"""Prometheus metrics: what a process counts from its signals, and what each scrape reads of a namespace."""
