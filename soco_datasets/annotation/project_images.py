"""Pictures into the project: copied, checked and entered in the database with origin, license and box."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from .database import ImageRow
from .photo_files import PhotoFile, store_photograph

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class NewImage:
    """What is known of a picture besides its pixels; the box is left, top, right, bottom, angles are degrees."""

    category: str
    name: str
    box: Box | None = None
    azimuth: float | None = None
    elevation: float | None = None
    rotation: float | None = None
    origin: str | None = None
    license: str | None = None


def add_image(session: Session, folder: Path, new: NewImage, photograph: PhotoFile) -> ImageRow:
    """Store a picture and its row; one that the category has already is returned as it is."""
    query = select(ImageRow).where(ImageRow.sha256 == photograph.sha256, ImageRow.category == new.category)
    known = session.scalars(query).first()
    if known is not None:
        return known
    left, top, right, bottom = new.box or (None, None, None, None)
    row = ImageRow(
        category=new.category,
        file=store_photograph(folder, new.category, new.name, photograph),
        width=photograph.width,
        height=photograph.height,
        sha256=photograph.sha256,
        phash=photograph.phash,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        azimuth=new.azimuth,
        elevation=new.elevation,
        rotation=new.rotation,
        origin=new.origin,
        license=new.license,
        role="work",
        suggest=False,
    )
    session.add(row)
    session.flush()
    return row


def images_of(session: Session, roles: Iterable[str] = ("work", "gold", "qualification")) -> list[ImageRow]:
    """The images with one of these roles, in order of category and entry."""
    query = select(ImageRow).where(ImageRow.role.in_(list(roles))).order_by(ImageRow.category, ImageRow.id)
    return list(session.scalars(query))
