from alembic import context

from shop.app import application

config = context.config


def get_engine():
    return application.extensions["migrate"].db.get_engine()


def run_migrations_online():
    with get_engine().connect() as connection:
        context.configure(connection=connection, **application.extensions["migrate"].configure_args)

        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
