"""Brokers: where jobs are kept. Import `memory` or `redis` for one."""
