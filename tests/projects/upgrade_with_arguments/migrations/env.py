from alembic import context
from sqlalchemy import engine_from_config

config = context.config
column = context.get_x_argument(as_dictionary=True).get("column", "note")

with engine_from_config(config.get_section(config.config_ini_section)).connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations(engine_name="main", column=column)
