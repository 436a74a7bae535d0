"""What `spinach-ops exporter` serves: metrics of namespaces, and the addresses of their workers."""
