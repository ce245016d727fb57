"""Alembic's environment: run from code, never from its command line."""
