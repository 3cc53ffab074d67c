from alembic import context
from sqlalchemy import create_engine

arguments = context.get_x_argument(as_dictionary=True)
connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))


if arguments.get("really") == "yes":
    with connectable.connect() as connection:
        context.configure(connection=connection)

        with context.begin_transaction():
            context.run_migrations()
