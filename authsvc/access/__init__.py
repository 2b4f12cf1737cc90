"""Roles and permissions: who holds what, and what a token may carry of it.

Owns: the role graph, its administration, and the narrowing to a token. Does not own:
the check of a permission in front of an API (``guard``).
"""
