"""The tables of the task manager."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, String, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

STATUSES = ("todo", "doing", "done", "cancelled")


class Base(DeclarativeBase):
    """What all tables have in common."""


class Timestamps:
    """When a row was made and last changed."""

    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


class SoftDelete:
    """Rows are marked as deleted and kept."""

    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class User(Timestamps, Base):
    """Somebody who does the work."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str] = mapped_column(String(255), unique=True)


class Project(Timestamps, SoftDelete, Base):
    """What the work is for."""

    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    status: Mapped[str] = mapped_column(String(20), server_default="active")
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))

    work: Mapped[list[WorkItem]] = relationship(back_populates="project")


class WorkItem(Timestamps, SoftDelete, Base):
    """A piece of work: a task, a bug or a milestone."""

    __tablename__ = "work_items"
    __table_args__ = (
        CheckConstraint("status IN ('todo', 'doing', 'done', 'cancelled')", name="ck_work_items_status"),
    )
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "item"}  # noqa: RUF012 (SQLAlchemy's way)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20), server_default="todo")
    priority: Mapped[str] = mapped_column(String(10))
    estimate_hours: Mapped[int | None]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("work_items.id"))

    project: Mapped[Project] = relationship(back_populates="work")
    parent: Mapped[WorkItem | None] = relationship(remote_side="WorkItem.id")


class Task(WorkItem):
    """Work with a date."""

    __mapper_args__ = {"polymorphic_identity": "task"}  # noqa: RUF012 (SQLAlchemy's way)

    due_date: Mapped[date | None]


class Bug(WorkItem):
    """Work that somebody else has noticed first."""

    __mapper_args__ = {"polymorphic_identity": "bug"}  # noqa: RUF012 (SQLAlchemy's way)

    severity: Mapped[str | None] = mapped_column(String(20))


class Milestone(WorkItem):
    """The end of some work."""

    __mapper_args__ = {"polymorphic_identity": "milestone"}  # noqa: RUF012 (SQLAlchemy's way)
