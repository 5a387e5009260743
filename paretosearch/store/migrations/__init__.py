"""The history of the tables, as Alembic reads it."""
