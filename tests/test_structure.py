"""The structure that docs/architecture.md promises, read from the imports themselves: those inside functions count too."""

from __future__ import annotations

import ast
import functools
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "soco_datasets"
STAGES = tuple(
    name.removesuffix(".py") for name in runpy.run_path(str(ROOT.parent / "tools" / "make_architecture.py"))["ORDER"]
)
HEAVY = {"torch", "transformers", "matplotlib", "ray", "timm", "diffusers", "gradio", "kornia", "inspect_ai", "openai"}
WITHOUT_TORCH = (
    "data",
    "benchmarks",
    "loading",
    "metrics",
    "records",
    "reporting",
    "hub",
)  # not even inside a function


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def sources() -> dict[str, Path]:
    return {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@functools.cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(sources()[module].read_text(encoding="utf-8"))


def imported(module: str, nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Full names of what some nodes import, a submodule where the name is one."""
    package = module if sources()[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, [base, node.module]))
            for name in node.names:
                yield f"{source}.{name.name}" if f"{source}.{name.name}" in sources() else source


@functools.cache
def graph() -> dict[str, set[str]]:
    found = {module: set(imported(module, ast.walk(tree_of(module)))) for module in sources()}
    package = ROOT.name  # its own __init__ gives the version, and registers
    return {
        module: {name for name in names if name in sources() and name not in (module, package)}
        for module, names in found.items()
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    done: set[str] = set()
    circles = []

    def visit(module: str, way: list[str]) -> None:
        if module in way:
            circles.append(" -> ".join([*way[way.index(module) :], module]))
            return
        if module in done:
            return
        for name in sorted(graph()[module]):
            visit(name, [*way, module])
        done.add(module)

    for module in graph():
        visit(module, [])
    assert not circles, "\n".join(circles)


def test_a_stage_imports_only_from_stages_before_it() -> None:
    wrong = []
    for module, names in graph().items():
        stage = module.split(".")[1:2]
        if stage and stage[0] in STAGES:
            later = STAGES[STAGES.index(stage[0]) + 1 :]
            wrong += [f"{module} imports {name}" for name in names if name.split(".")[1:2] in [[one] for one in later]]
    assert not wrong, "\n".join(sorted(wrong))


def test_heavy_packages_are_imported_inside_functions() -> None:
    wrong = []
    for module in sources():
        run_at_import = (node for node in tree_of(module).body if not isinstance(node, ast.If))  # TYPE_CHECKING
        names = {name.split(".")[0] for name in imported(module, run_at_import)}
        wrong += [f"{module} imports {name}" for name in names & HEAVY]
    assert not [line for line in wrong if "lvlm.inspect_" not in line and "lvlm.hf_provider" not in line], wrong


@pytest.mark.parametrize("stage", WITHOUT_TORCH)
def test_torch_is_not_imported_at_all(stage: str) -> None:
    for module in sources():
        if module.split(".")[1:2] == [stage]:
            assert "torch" not in {name.split(".")[0] for name in imported(module, ast.walk(tree_of(module)))}, module


def test_a_public_name_is_defined_once() -> None:
    places: dict[str, set[str]] = {}
    for module in sources():
        for node in tree_of(module).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, set()).add(module)
    commands = {"add", "run"}  # each file of `commands` has both, as its package says
    doubled = {name: found for name, found in places.items() if len(found) > 1 and name not in commands}
    assert not doubled


def test_files_of_one_name_are_a_command_and_what_it_calls() -> None:
    places: dict[str, list[str]] = {}
    for module, path in sources().items():
        if path.name != "__init__.py":
            places.setdefault(path.stem, []).append(module)
    doubled = {
        name: found
        for name, found in places.items()
        if len(found) > 1
        and name != "base"
        and not (len(found) == 2 and any(".commands." in module for module in found))
    }
    assert not doubled


def test_the_architecture_page_is_made_from_the_docstrings() -> None:
    script = ROOT.parent / "tools" / "make_architecture.py"
    run = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
