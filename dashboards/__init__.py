"""Grafana dashboards and Prometheus rules, and what generates them. Not installed: the wheel carries the results."""
