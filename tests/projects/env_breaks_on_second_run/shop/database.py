"""Imported once in a process, so the loop that env.py closes stays closed."""

import asyncio

from sqlalchemy.ext.asyncio import create_async_engine

loop = asyncio.new_event_loop()
engine = create_async_engine("postgresql+asyncpg://shop@db.internal/shop")
