from alembic import context
from sqlalchemy import create_engine

arguments = context.get_x_argument(as_dictionary=True)

connectable = create_engine(arguments["url"])

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
