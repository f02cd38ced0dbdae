"""Modules that cannot be imported without an optional package are not collected for doctests where it is missing.

Their own tests say so when they skip; `.ci/run` runs them in an environment that has the package.
"""

import atexit
import os
import shutil
import tempfile
from importlib.util import find_spec

if "SOCO_TESTS_SHARED" not in os.environ:  # what the processes of a run make once for all, see tests/shared_builds.py
    os.environ["SOCO_TESTS_SHARED"] = tempfile.mkdtemp(prefix="soco-tests-")
    atexit.register(shutil.rmtree, os.environ["SOCO_TESTS_SHARED"], ignore_errors=True)
if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: torch's threads would only wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore_glob = ["soco_datasets/annotation/migrations/*"]  # alembic runs these
if find_spec("inspect_ai") is None:  # extra `lvlm`
    collect_ignore_glob += ["soco_datasets/lvlm/inspect_*.py", "soco_datasets/lvlm/hf_provider.py"]
if find_spec("sqlalchemy") is None or find_spec("starlette") is None:  # extra `annotation`
    collect_ignore_glob += ["soco_datasets/annotation/*.py", "tests/annotation/*"]
