"""Measurements that people run; none is part of the tests."""
