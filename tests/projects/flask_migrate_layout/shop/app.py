"""Stands in for a Flask application with Flask-SQLAlchemy and Flask-Migrate: the same names, nothing of Flask."""

from types import SimpleNamespace

from sqlalchemy import create_engine


class Database:
    def get_engine(self):
        return create_engine("postgresql+psycopg://shop@db.internal/shop")


application = SimpleNamespace(
    extensions={"migrate": SimpleNamespace(db=Database(), configure_args={"compare_type": True})}
)
