"""Generates the Grafana dashboards and Prometheus rules. Not installed: the wheel carries the results."""
