"""Serving over HTTP, read only: a bounded server, the page of metrics, health."""
