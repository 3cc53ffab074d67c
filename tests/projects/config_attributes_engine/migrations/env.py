from alembic import context

attributes = context.config.attributes

with attributes["engine"].connect() as connection:
    context.configure(connection=connection, version_table_schema=attributes["schema"])

    with context.begin_transaction():
        context.run_migrations()
