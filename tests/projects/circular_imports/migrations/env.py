from alembic import context
from sqlalchemy import create_engine

import shop.app  # first: shop.models does not import before it

with create_engine(shop.app.DATABASE_URL).connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
