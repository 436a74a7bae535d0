"""Integrations with frameworks and services; each module needs the extra of its name, the engine none of them."""
