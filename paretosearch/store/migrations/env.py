"""What Alembic runs to apply the steps."""

from alembic import context

from paretosearch.store.migrate import OPTIONS

context.configure(connection=context.config.attributes["connection"], **OPTIONS)
with context.begin_transaction():
    context.run_migrations()
