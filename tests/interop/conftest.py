from tests.fleet import make_fleet
from tests.old_package import old_python

__all__ = ["make_fleet", "old_python"]
