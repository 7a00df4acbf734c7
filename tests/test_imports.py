"""The arrows of the architecture: models <- export -> service, lazy imports included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

FORBIDDEN = {
    "service": {"torch", "models", "export", "onnx", "onnxscript", "benchmarks"},
    "models": {"service", "export", "onnx", "onnxruntime", "benchmarks"},
    "export": {"benchmarks"},
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            argument = node.args[0]
            if isinstance(argument, ast.JoinedStr):
                argument = argument.values[0]
            assert isinstance(argument, ast.Constant), f"{path}: import of an unknown module"
            yield str(argument.value)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_package_imports_only_along_the_arrows(package: str) -> None:
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if name.partition(".")[0] in FORBIDDEN[package]
    }
    assert not found


def test_there_is_no_import_cycle() -> None:
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in FORBIDDEN
        for path in (ROOT / package).rglob("*.py")
    }
    graph = {name: {m for m in imported(path) if m in modules} for name, path in modules.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_files_stay_small_and_open_with_a_docstring() -> None:
    for package in FORBIDDEN:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            assert text.count("\n") <= 250, path
            assert ast.get_docstring(ast.parse(text)), path
