"""The schema's versions, run by alembic from Python: no configuration file, no command line."""

from __future__ import annotations

import importlib.resources
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..database import Database


def upgrade_schema(database: Database) -> None:
    """Bring a database to the newest schema; an empty one gets a project id.

    Raises:
        SocoError: the database cannot be used, or is of a newer version than this package.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    from ...errors import SocoError
    from ..database import Meta

    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files(__package__)))
    with database.connection() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SocoError(f"The project's database is of another version of soco-datasets ({error}).") from None
    with database.writing(exclusive=True) as session:
        if session.get(Meta, "project_id") is None:
            session.add(Meta(key="project_id", value=uuid.uuid4().hex[:12]))
