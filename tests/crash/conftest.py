from tests.fleet import make_fleet

__all__ = ["make_fleet"]
