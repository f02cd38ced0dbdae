"""Which packages the wheel holds; everything else is in pyproject.toml.

`loading_script/` and `eval/` stand at the top level of the repository but are installed inside the package, so that no
top-level module of those names lands in anyone's site-packages.
"""

from setuptools import find_packages, setup

INSIDE = {"soco_datasets.loading_script": "loading_script", "soco_datasets.eval": "eval"}

setup(packages=[*find_packages(include=["soco_datasets", "soco_datasets.*"]), *INSIDE], package_dir=INSIDE)
