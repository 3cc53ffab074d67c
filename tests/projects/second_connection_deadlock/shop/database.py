from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

engine = create_engine("postgresql+psycopg://shop@db.internal/shop")
Session = sessionmaker(engine)
