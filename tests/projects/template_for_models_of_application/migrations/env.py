from alembic import context
from sqlalchemy import create_engine

from shop.models import Base


def include_object(object, name, type_, reflected, compare_to):
    return name != "spatial_ref_sys"


with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=include_object,
        compare_server_default=True,
    )

    with context.begin_transaction():
        context.run_migrations()
