"""Serves over HTTP, read only: a bounded server, the metrics page, health checks."""
