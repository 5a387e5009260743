"""The history of the tables, as Alembic reads it.

The next step is a file in ``versions`` with the next number. A test compares the tables that all steps make with the
models, so it says what a step forgot. SQLite cannot change a table that the view is of: drop the view first.
"""
