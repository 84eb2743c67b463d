"""Alembic's way in: the migrations run in the transaction that `leadledger migrate` is in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
