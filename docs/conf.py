"""The documentation site: `sphinx-build -W -b html docs build/docs` (extra `docs`). Makes the reference pages first."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from make_reference import write_pages  # noqa: E402

import soco_datasets  # noqa: E402

write_pages()

project = "soco-datasets"
author = "The soco-datasets authors"
copyright = f"2026, {author}"
version = release = soco_datasets.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # tools/run_tutorial.py executes the notebook, a test too; the site shows the stored outputs
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

default_role = "code"
autodoc_member_order = "bysource"
add_module_names = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {name: name for name in ("GivenModel", "GivenData", "GivenTasks")}  # the docstrings list them
python_use_unqualified_type_names = True
maximum_signature_line_length = 90
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "soco-datasets"
html_static_path = ["_static"]
html_css_files = ["soco.css"]
html_theme_options = {
    "logo": {"text": "soco-datasets"},
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
