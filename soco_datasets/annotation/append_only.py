"""Triggers that refuse to change or delete rows: what was placed stays in the log, whatever the program does."""

from __future__ import annotations

_FUNCTION = """
CREATE OR REPLACE FUNCTION soco_append_only() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END; $$ LANGUAGE plpgsql
"""


def forbid_changes(table: str) -> None:
    """Within a migration: refuse UPDATE and DELETE on a table."""
    from alembic import op

    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FUNCTION)
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION soco_append_only()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
