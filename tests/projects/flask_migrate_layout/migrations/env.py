from alembic import context

from shop.app import current_app

config = context.config


def get_engine():
    return current_app.extensions["migrate"].db.get_engine()


def run_migrations_online():
    with get_engine().connect() as connection:
        context.configure(connection=connection, **current_app.extensions["migrate"].configure_args)

        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
