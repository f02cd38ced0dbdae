"""`soco annotate invite | people | mturk | practice | simulate`: who annotates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from .annotate_common import ProjectOptions, require_annotation
from .options import command


def add(parts: typer.Typer) -> None:
    """Add the commands to `soco annotate`."""
    example = "soco annotate invite my-tools Ada Grace --url https://annotate.example.org"
    command(parts, run_invite, "invite", "print a link for each person; a known person gets a new one", example)
    example = "soco annotate people my-tools --pause Ada"
    command(parts, run_people, "people", "list the people; pause or resume one", example)
    example = "soco annotate mturk my-tools --public-url https://annotate.example.org > question.xml"
    command(parts, run_mturk, "mturk", "print the ExternalQuestion for HITs of Mechanical Turk", example)
    help = "write rendered photographs and their true points, to try the tools with"
    command(parts, run_practice, "practice", help, "soco annotate practice practice --category bus --name minibus")
    help = "rehearse with simulated annotators who know the truth, with noise"
    command(parts, run_simulate, "simulate", help, "soco annotate simulate my-tools --truth soco-mini --annotators 3")


def run_invite(
    project: ProjectOptions,
    names: Annotated[list[str], Argument(metavar="NAME...", help="who")],
    role: Annotated[str, Option(metavar="NAME", help="annotator, reviewer or owner")] = "annotator",
    days: Annotated[float, Option(metavar="N", help="days that the link is valid")] = 30.0,
    url: Annotated[str, Option(metavar="URL", help="address of the server")] = "http://127.0.0.1:8000",
) -> None:
    """Invite people."""
    with project.open() as bench:
        from ..annotation.invitations import invite
        from ..annotation.starting import link

        with bench.database.writing(exclusive=True) as session:
            tokens = [(name, invite(session, name, role, days, qualify=role == "annotator")) for name in names]
        for name, token in tokens:
            print(f"{name}\t{link(url, role, token)}")


def run_people(
    project: ProjectOptions,
    pause: Annotated[str | None, Option(metavar="NAME", help="give this person no more images")] = None,
    resume: Annotated[str | None, Option(metavar="NAME", help="give this person images again")] = None,
) -> None:
    """List the people."""
    from ..errors import UsageError, unknown_name

    if pause is not None and resume is not None:
        raise UsageError("--pause and --resume exclude one another.")
    with project.open() as bench:
        from ..annotation.assignment import set_status
        from ..annotation.overview import overview

        with bench.database.reading() as session:
            people = overview(bench, session)["people"]
        wanted = pause or resume
        if wanted:
            ids = {person["name"]: person["id"] for person in people}
            if wanted not in ids:
                raise unknown_name("person", wanted, ids)
            status = "paused" if pause else "active"
            set_status(bench.database, ids[wanted], status, "command line")
            print(f"{wanted}: {status}")
            return
        for person in people:
            gold = "-" if person["gold"] is None else f"{100 * person['gold']:.0f} %"
            print(f"{person['name']}\t{person['role']}\t{person['status']}\t{person['done']} images\tgold {gold}")


def run_mturk(
    project: ProjectOptions,
    public_url: Annotated[str, Option(metavar="URL", help="https address under which workers reach the server")],
    frame_height: Annotated[int, Option(help="height of the page in pixels")] = 900,
) -> None:
    """Print the question."""
    with project.open() as bench:
        from ..annotation.mturk import external_question

        print(external_question(bench, public_url, frame_height), end="")


def run_simulate(
    project: ProjectOptions,
    truth: Annotated[Path, Option(metavar="DIR", help="a release folder with the true points of the images")],
    annotators: Annotated[int, Option(help="number of annotators")] = 3,
    noise: Annotated[float, Option(help="standard deviation / longest side")] = 0.005,
    seed: Annotated[int, Option(help="random seed of the noise")] = 0,
) -> None:
    """Simulate annotators."""
    with project.open() as bench:
        from ..annotation.project_images import images_of
        from ..annotation.release_views import read_release_parts
        from ..annotation.simulation import Habits, simulate, truth_with_boxes
        from ..errors import UsageError

        if not 1 <= annotators <= 100 or not 0 <= noise <= 1:
            raise UsageError("--annotators is from 1 to 100 and --noise from 0 to 1.")
        with bench.database.reading() as session:
            points = truth_with_boxes(images_of(session), read_release_parts(truth))
        people = {f"simulated {n + 1}": Habits(noise=noise) for n in range(annotators)}
        simulate(bench, points, people, seed)
        print(f"{len(points)} images annotated by {len(people)} simulated annotators")


def run_practice(
    out: Annotated[Path, Argument(metavar="DIR", help="folder to make")],
    category: Annotated[str, Option(metavar="NAME", help="what is drawn: a category of the mini set")] = "bus",
    name: Annotated[str, Option(metavar="NAME", help="what it is called")] = "minibus",
    count: Annotated[int, Option(help="number of photographs")] = 5,
    seed: Annotated[int, Option(help="random seed of the drawing")] = 7,
) -> None:
    """Write photographs."""
    require_annotation()
    from ..annotation.practice import write_practice

    print(write_practice(out, category, name, count, seed))
