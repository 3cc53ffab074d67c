"""Settings, from the environment."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What the service has to be told. `POSTS_DATABASE_URL` has no default."""

    model_config = SettingsConfigDict(env_prefix="POSTS_")

    database_url: str
    page_size: int = 20

    @property
    def sqlalchemy_url(self) -> str:
        """The URL with the driver that this service has installed; hosting providers give none."""
        scheme, _, rest = self.database_url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in {"postgres", "postgresql"} else self.database_url


settings = Settings()
