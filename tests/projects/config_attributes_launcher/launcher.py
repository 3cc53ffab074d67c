"""How the application starts Alembic: `configure(config)` and then `alembic.command.upgrade(config, "head")`."""

from sqlalchemy import create_engine

engine = create_engine("postgresql+psycopg://shop@db.internal/shop")


def configure(config):
    connection = engine.connect()
    config.attributes["connection"] = connection
