"""What `spinach-ops exporter` serves: the metrics of namespaces, read from Redis without a worker."""
