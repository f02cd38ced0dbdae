"""Modules that cannot be imported without an optional package are not collected for doctests where it is missing.

Their own tests say so when they skip; `.ci/run` runs them in an environment that has the package.
"""

from importlib.util import find_spec

collect_ignore_glob = []
if find_spec("inspect_ai") is None:  # extra `lvlm`
    collect_ignore_glob += ["soco_datasets/lvlm/inspect_*.py", "soco_datasets/lvlm/hf_provider.py"]
