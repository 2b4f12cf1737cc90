"""Alembic's migrations of the database schema; each can be rolled back."""
