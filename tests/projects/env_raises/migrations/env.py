from alembic import context

if not context.is_offline_mode():
    raise RuntimeError("the vault is sealed")
