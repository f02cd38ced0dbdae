"""Alembic's entry: runs the versions on the connection that `upgrade` hands over."""

from __future__ import annotations

from alembic import context

from soco_datasets.annotation.database import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
