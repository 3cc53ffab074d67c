from alembic import context
from sqlalchemy import create_engine

from shop.settings import settings

connectable = create_engine(settings.database.url)

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
