from dataclasses import dataclass, field


@dataclass
class Database:
    host: str = "db.internal"
    name: str = "shop"
    user: str = "shop"
    password: str = "secret"

    @property
    def url(self):
        return f"postgresql+psycopg://{self.user}:{self.password}@{self.host}/{self.name}"


@dataclass
class Settings:
    database: Database = field(default_factory=Database)


settings = Settings()
