"""What `spinach-ops exporter` serves: metrics of namespaces, and where their workers serve metrics of their own."""
