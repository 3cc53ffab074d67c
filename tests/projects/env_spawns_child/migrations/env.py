import subprocess
import sys

from alembic import context
from sqlalchemy import create_engine

connectable = create_engine(context.config.get_main_option("sqlalchemy.url"))

subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)  # child of env_spawns_child"])

with connectable.connect() as connection:
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()
