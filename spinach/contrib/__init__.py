"""Integrations with frameworks and services. Each needs the extra of its name; the engine needs none."""
