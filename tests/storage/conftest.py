"""What the tests of storage may ask for besides."""

from tests.storage.empty_backend import empty_backend

__all__ = ["empty_backend"]
