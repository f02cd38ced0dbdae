"""Keep a record of every number the toolkit computes, and compare two records: nothing may move in a refactoring.

    python tools/compare_numbers.py record DIR [--checkout DIR] [--shared DIR] [--old DIR] [--only REGEX] [--jobs N]
    python tools/compare_numbers.py compare OLD NEW [--allow wording] [--allow pictures] [--accept REGEX]

`record` builds the mini set and the shared releases, evaluates two models on each with every protocol, scores,
compares, reports, asks and draws (see `comparing/steps.py`), all through the command line of a checkout (default: the
one this file is in), `load_dataset("soco", ...)` and `evaluate.load("soco_pck")`; so it works whatever the Python
names are. DIR/facts has the facts of each step as JSON, DIR/files all that was written, to look at. Steps run in
processes of one thread each, `--jobs` (2) at a time; an editable installation of another checkout is put aside.

`compare` prints every difference and exits with 1 if there is one. Not compared are times, versions of packages, host
paths, the README of a built folder and the name of the probe variant (`honest`, `heldout`). Each difference has a kind:
`numbers` must never move; `wording` (texts for people, and new options) and `pictures` (drawings carry such texts)
are looked at and may then be passed over by `--allow`; `--accept REGEX` passes over single ones by what is printed.

Before a change (once), and after each step of it:

    python tools/compare_numbers.py record /tmp/before --checkout UNTOUCHED
    python tools/compare_numbers.py record /tmp/after --old /tmp/before
    python tools/compare_numbers.py compare /tmp/before /tmp/after --allow wording

With `--old`, the folders, records and answers of that record are read again (steps `old/...`; without it, those of the
same record), and options of its commands are probed even where the help does not list them any more.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from comparing.differences import KINDS, Difference, accepted_options, differences
from comparing.facts import error_facts, folder_facts, text_facts, without_paths
from comparing.inputs import make_inputs
from comparing.steps import Step, all_steps

_TOOLS = Path(__file__).resolve().parent
_OPTIONS = "options"  # the step that lists commands and their options
# Editable installations hook the import system; without this, a module that moved in the checkout would be found there.
_NO_EDITABLE = """\
import sys
sys.meta_path = [finder for finder in sys.meta_path if not getattr(finder, "__module__", "").startswith("__editable__")]
sys.path_hooks = [hook for hook in sys.path_hooks if not getattr(hook, "__module__", "").startswith("__editable__")]
"""


class Recorder:
    """Runs steps in the folder DIR/files and writes their facts into DIR/facts.

    Args:
        out: DIR.
        checkout: whose `soco_datasets` is run.
        shared: the folder that holds data/.
        old: another record, or `out` itself.
    """

    def __init__(self, out: Path, checkout: Path, shared: Path, old: Path) -> None:
        self.files, self.facts = out / "files", out / "facts"
        self._checkout, self._shared, self._old = checkout, shared, old
        start = out / "start"
        for folder in (self.files, self.facts, start):
            folder.mkdir(parents=True, exist_ok=True)
        (start / "sitecustomize.py").write_text(_NO_EDITABLE)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SOCO_", "HF_"))},
            "PYTHONPATH": os.pathsep.join([str(start), str(checkout)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SOCO_CHECKOUT": str(checkout),
            "SOCO_CACHE": str(out / "cache"),
            "HF_HOME": str(out / "cache" / "huggingface"),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "MPLBACKEND": "agg",
            "COLUMNS": "100",
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        }
        places = {out: "<out>", old: "<out>", checkout: "<checkout>", shared: "<shared>"}
        self._places = {f"{self.files}/": "", f"{old / 'files'}/": ""}  # as if named by relative paths
        self._places |= {str(path): places[path] for path in sorted(places, key=lambda path: -len(str(path)))}

    def run(self, only: str, jobs: int) -> list[str]:
        """Run all steps whose name matches `only`; the names of those that left a Python traceback."""
        if not (self.files / "models").is_dir():
            make_inputs(self.files, self._shared)
        steps = all_steps(self._shared, str(self._old / "files"))
        steps.append(Step(_OPTIONS, 0, ("options", *self._known_options()), prints="json", snippet=True))
        wanted = [step for step in steps if re.search(only, step.name)]
        crashed: list[str] = []
        with ThreadPoolExecutor(jobs) as pool:
            for stage in sorted({step.stage for step in wanted}):
                ready = [step for step in wanted if step.stage == stage]
                crashed += [step.name for step, bad in zip(ready, pool.map(self._run, ready), strict=True) if bad]
        return crashed

    def _known_options(self) -> list[str]:
        path = self._old / "facts" / f"{_OPTIONS}.json"
        if not path.is_file():
            return []
        listed = json.loads(path.read_text(encoding="utf-8"))["stdout"]["json"]
        return [json.dumps({command: list(found["accepted"]) for command, found in listed.items()})]

    def _run(self, step: Step) -> bool:
        module = [str(_TOOLS / "comparing" / "snippets.py")] if step.snippet else ["-m", "soco_datasets.cli"]
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, *module, *step.command],
            cwd=self.files,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        facts: dict[str, Any] = {
            "exit": done.returncode,
            "stdout": text_facts(done.stdout, step.prints),
            "stderr": error_facts(done.stderr),
            "files": {name: folder_facts(self.files / name) for name in step.keeps},
        }
        path = self.facts / f"{step.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        written = without_paths(facts, self._places)
        path.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{time.monotonic() - start:6.1f} s  exit {done.returncode}  {step.name}", file=sys.stderr)
        return "Traceback" in done.stderr


def record(arguments: argparse.Namespace) -> int:
    """Make a record; 1 when a step ended with a traceback, which no refused step does."""
    out = arguments.out.resolve()
    if out.exists() and not arguments.update:
        if not arguments.overwrite:
            raise SystemExit(f"{out} exists: give another folder, --overwrite or --update.")
        shutil.rmtree(out)
    checkout, shared = arguments.checkout.resolve(), arguments.shared.resolve()
    if not (shared / "data" / "oracle").is_dir():
        raise SystemExit(f"{shared} has no data/oracle: give --shared.")
    old = out if arguments.old is None else arguments.old.resolve()
    start = time.monotonic()
    recorder = Recorder(out, checkout, shared, old)
    crashed = recorder.run(arguments.only, arguments.jobs)
    count = sum(1 for _ in recorder.facts.rglob("*.json"))
    print(f"{count} steps of {checkout} recorded in {time.monotonic() - start:.0f} s")
    for name in crashed:
        print(f"crashed with a traceback: {name}")
    return 1 if crashed else 0


def compare(arguments: argparse.Namespace) -> int:
    """Print the differences between two records; 1 when there are any that are not passed over."""
    before, after = (_read(folder) for folder in (arguments.old, arguments.new))
    found: list[Difference] = []
    for name in sorted(before.keys() | after.keys()):
        if name not in after and not re.search(arguments.only, name):
            continue
        if name == _OPTIONS and name in before and name in after:
            found += accepted_options(before[name]["stdout"]["json"], after[name]["stdout"]["json"])
        elif re.search(arguments.only, name):
            pair = ({name: record[name]} if name in record else {} for record in (before, after))
            found += differences(*pair)
    shown = [each for each in found if not _passed_over(each, arguments)]
    for each in shown:
        print(each)
    counts = Counter(each.kind for each in shown)
    passed = len(found) - len(shown)
    print(f"{len(after)} steps compared: {', '.join(f'{counts[kind]} {kind}' for kind in KINDS)}; {passed} passed over")
    return 1 if shown else 0


def _read(folder: Path) -> dict[str, Any]:
    facts = folder / "facts"
    if not facts.is_dir():
        raise SystemExit(f"{folder} is not a record: it has no facts/.")
    paths = sorted(facts.rglob("*.json"))
    return {
        path.relative_to(facts).with_suffix("").as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in paths
    }


def _passed_over(difference: Difference, arguments: argparse.Namespace) -> bool:
    return difference.kind in arguments.allow or any(re.search(each, str(difference)) for each in arguments.accept)


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    recording = commands.add_parser("record", help="keep a record of a checkout")
    recording.add_argument("out", type=Path, help="folder to make")
    recording.add_argument("--checkout", type=Path, default=_TOOLS.parent, help="default: that of this file")
    recording.add_argument("--shared", type=Path, default=_TOOLS.parent / ".." / "shared", help="default: ../shared")
    recording.add_argument("--old", type=Path, help="a record whose folders and records are read again")
    recording.add_argument("--only", default="", metavar="REGEX", help="only steps of these names")
    recording.add_argument("--jobs", type=int, default=2, help="steps at a time (default 2)")
    recording.add_argument("--overwrite", action="store_true", help="replace the folder")
    recording.add_argument(
        "--update", action="store_true", help="run --only these steps again in a record that is there"
    )
    recording.set_defaults(run=record)
    comparing = commands.add_parser("compare", help="print what differs between two records")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--allow", action="append", default=[], choices=KINDS[1:], help="pass over this kind")
    comparing.add_argument("--accept", action="append", default=[], metavar="REGEX", help="pass over these")
    comparing.add_argument("--only", default="", metavar="REGEX", help="only steps of these names")
    comparing.set_defaults(run=compare)
    arguments = parser.parse_args()
    code: int = arguments.run(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
