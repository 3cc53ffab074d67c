from sqlalchemy import create_engine


def configure(config):
    config.attributes["engine"] = create_engine("postgresql+psycopg://shop@db.internal/shop")
    config.attributes["schema"] = "public"
