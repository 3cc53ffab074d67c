from alembic import context
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

config = context.config


def database_of_target():
    """Each revision belongs to one of two databases, and the command line says which revision is wanted."""
    wanted = config.cmd_opts.revision.removesuffix("-1")
    script = ScriptDirectory.from_config(config).get_revision(wanted)
    if script is None or wanted == "head":
        raise RuntimeError("Name a revision")
    return "postgresql://app@localhost/items"


def run_migrations_online():
    with create_engine(database_of_target()).connect() as connection:
        context.configure(connection=connection)

        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
