"""Mechanical Turk: the ExternalQuestion to put into a HIT. Nothing is sent from here; the owner's account does that."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit
from xml.sax.saxutils import escape

from ..errors import UsageError
from .turk_sessions import hit_key
from .work import Workbench

_SCHEMA = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/ExternalQuestion.xsd"


def external_question(bench: Workbench, public_url: str, frame_height: int = 900) -> str:
    """The XML of the question: one HIT is one image, with as many assignments as there shall be annotators.

    Args:
        bench: the project.
        public_url: the https address under which workers reach the server (`soco annotate serve --mturk`).
        frame_height: of the page in the worker's window, pixels.

    Raises:
        UsageError: an address that Mechanical Turk does not take.
    """
    parts = urlsplit(public_url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise UsageError(f"Mechanical Turk shows pages of https addresses only, got {public_url!r}.")
    with bench.database.writing(exclusive=True) as session:
        query = urlencode({"key": hit_key(session)})
    url = f"{parts.scheme}://{parts.netloc}/mturk?{query}"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ExternalQuestion xmlns="{_SCHEMA}">\n'
        f"  <ExternalURL>{escape(url)}</ExternalURL>\n"
        f"  <FrameHeight>{frame_height}</FrameHeight>\n</ExternalQuestion>\n"
    )
