"""What Alembic runs: the steps, on the connection of the store that is being opened."""

from alembic import context

from governance_pipeline.adapters.ops_schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
