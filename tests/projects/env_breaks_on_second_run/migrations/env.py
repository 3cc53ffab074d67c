from alembic import context

from shop.database import engine, loop


def do_run_migrations(connection):
    context.configure(connection=connection)

    with context.begin_transaction():
        context.run_migrations()


async def run_async_migrations():
    async with engine.connect() as connection:
        await connection.run_sync(do_run_migrations)

    await engine.dispose()


try:
    loop.run_until_complete(run_async_migrations())
finally:
    loop.close()
