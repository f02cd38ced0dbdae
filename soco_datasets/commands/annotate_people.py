"""`soco annotate invite | people | mturk | practice | simulate`: who annotates."""

from __future__ import annotations

import argparse
from pathlib import Path

from .annotate_common import opened, project_command
from .common import Commands, command


def add(parts: Commands) -> None:
    """Add the commands."""
    _add_invite(parts)
    _add_people(parts)
    _add_mturk(parts)
    _add_practice(parts)
    _add_simulate(parts)


def _add_invite(parts: Commands) -> None:
    example = "soco annotate invite my-tools Ada Grace --url https://annotate.example.org"
    parser = project_command(parts, "invite", "print a link for each person; a known person gets a new one", example)
    parser.add_argument("names", nargs="+", metavar="NAME", help="who")
    parser.add_argument("--role", default="annotator", help="annotator (default), reviewer or owner")
    parser.add_argument("--days", type=float, default=30.0, help="how long the link is valid (default 30)")
    parser.add_argument(
        "--url", default="http://127.0.0.1:8000", help="where the server is (default http://127.0.0.1:8000)"
    )
    parser.set_defaults(run=run_invite)


def run_invite(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.invitations import invite
        from ..annotation.starting import link

        with bench.database.writing(exclusive=True) as session:
            tokens = [
                (name, invite(session, name, arguments.role, arguments.days, qualify=arguments.role == "annotator"))
                for name in arguments.names
            ]
        for name, token in tokens:
            print(f"{name}\t{link(arguments.url, arguments.role, token)}")


def _add_people(parts: Commands) -> None:
    example = "soco annotate people my-tools --pause Ada"
    parser = project_command(parts, "people", "list the people; pause or resume one", example)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--pause", metavar="NAME", help="give this person no more images")
    choice.add_argument("--resume", metavar="NAME", help="let this person go on")
    parser.set_defaults(run=run_people)


def run_people(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.assignment import set_status
        from ..annotation.overview import overview
        from ..errors import unknown_name

        with bench.database.reading() as session:
            people = overview(bench, session)["people"]
        wanted = arguments.pause or arguments.resume
        if wanted:
            ids = {person["name"]: person["id"] for person in people}
            if wanted not in ids:
                raise unknown_name("person", wanted, ids)
            status = "paused" if arguments.pause else "active"
            set_status(bench.database, ids[wanted], status, "command line")
            print(f"{wanted}: {status}")
            return
        for person in people:
            gold = "-" if person["gold"] is None else f"{100 * person['gold']:.0f} %"
            print(f"{person['name']}\t{person['role']}\t{person['status']}\t{person['done']} images\tgold {gold}")


def _add_mturk(parts: Commands) -> None:
    example = "soco annotate mturk my-tools --public-url https://annotate.example.org > question.xml"
    parser = project_command(parts, "mturk", "print the ExternalQuestion for HITs of Mechanical Turk", example)
    parser.add_argument("--public-url", required=True, help="https address under which workers reach the server")
    parser.add_argument("--frame-height", type=int, default=900, help="of the page, pixels (default 900)")
    parser.set_defaults(run=run_mturk)


def run_mturk(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.mturk import external_question

        print(external_question(bench, arguments.public_url, arguments.frame_height), end="")


def _add_simulate(parts: Commands) -> None:
    example = "soco annotate simulate my-tools --truth soco-mini --annotators 3"
    parser = project_command(
        parts, "simulate", "rehearse with simulated annotators who know the truth, with noise", example
    )
    parser.add_argument("--truth", type=Path, required=True, help="a release folder with the true points of the images")
    parser.add_argument("--annotators", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--noise", type=float, default=0.005, help="standard deviation / longest side (default 0.005)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    parser.set_defaults(run=run_simulate)


def run_simulate(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.project_images import images_of
        from ..annotation.release_views import read_release_parts
        from ..annotation.simulation import Habits, simulate, truth_with_boxes
        from ..errors import UsageError

        if not 1 <= arguments.annotators <= 100 or not 0 <= arguments.noise <= 1:
            raise UsageError("--annotators is from 1 to 100 and --noise from 0 to 1.")
        with bench.database.reading() as session:
            truth = truth_with_boxes(images_of(session), read_release_parts(arguments.truth))
        people = {f"simulated {n + 1}": Habits(noise=arguments.noise) for n in range(arguments.annotators)}
        simulate(bench, truth, people, arguments.seed)
        print(f"{len(truth)} images annotated by {len(people)} simulated annotators")


def _add_practice(parts: Commands) -> None:
    example = "soco annotate practice practice --category bus --name minibus"
    parser = command(
        parts, "practice", "write rendered photographs and their true points, to try the tools with", example
    )
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--category", default="bus", help="what is drawn: a category of the mini set (default bus)")
    parser.add_argument("--name", default="minibus", help="what it is called (default minibus)")
    parser.add_argument("--count", type=int, default=5, help="photographs (default 5)")
    parser.add_argument("--seed", type=int, default=7, help="of the drawing (default 7)")
    parser.set_defaults(run=run_practice)


def run_practice(arguments: argparse.Namespace) -> None:
    """Run it."""
    from .annotate_common import require_annotation

    require_annotation()
    from ..annotation.practice import write_practice

    print(write_practice(arguments.out, arguments.category, arguments.name, arguments.count, arguments.seed))
