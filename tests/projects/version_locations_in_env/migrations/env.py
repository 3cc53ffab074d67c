"""The folders of the revisions are known to the application only: Alembic sees none before this file has run."""

from pathlib import Path

from alembic import context
from sqlalchemy import create_engine

HERE = Path(__file__).parent.parent

script = context.script
script.version_locations = [str(HERE / "revisions" / "core"), str(HERE / "revisions" / "extra")]
script.__dict__.pop("_version_locations", None)

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
