"""What the programs that we start may see of our environment."""

from __future__ import annotations

import os

#: How the names of variables begin that lead to the database, into the dashboard or into a Ray cluster; those of
#: PostgreSQL's own library, such as PGPASSWORD, all begin with PG.
SECRET = ("PARETOSEARCH_STORAGE", "PARETOSEARCH_DASHBOARD_TOKEN", "RAY_AUTH_TOKEN", "PG")


def for_programs() -> dict[str, str]:
    """Give our environment without what is secret: a Worker, a compiler and apt do without a database."""
    return {name: value for name, value in os.environ.items() if not name.startswith(SECRET)}
