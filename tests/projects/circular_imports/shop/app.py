"""Has to be imported before shop.models."""

DATABASE_URL = "postgresql+psycopg://shop@db.internal/shop"
NAME_LENGTH = 50

from shop.models import Item  # noqa: E402

CATALOGUE = {"item": Item}
