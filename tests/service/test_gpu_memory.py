from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.gpu_memory import GpuMemory, memory


class Library:
    """CUDA's, as far as it is asked."""

    def __init__(self, chosen: int = 0) -> None:
        self.numbers: list[int] = []
        self._chosen = chosen

    def cudaSetDevice(self, number: int) -> int:  # noqa: N802
        self.numbers.append(number)
        return self._chosen

    def cudaMemGetInfo(self, free: Any, total: Any) -> int:  # noqa: N802
        free._obj.value, total._obj.value = 3 * 2**30, 80 * 2**30
        return 0


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    path = tmp_path / "maps"
    libc = "7f00-7f01 r-xp 0 fe:00 1  /lib/libc.so.6"
    path.write_text(f"{libc}\n7f02-7f03 r-xp 0 fe:00 2  /x/libcudart.so.13\n")
    return path


def loading(library: Any, seen: list[str]) -> Callable[[str], Any]:
    def load(path: str) -> Any:
        seen.append(path)
        return library

    return load


def test_the_library_that_is_loaded_is_asked_about_the_gpu_in_use(
    maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, seen = Library(), list[str]()
    monkeypatch.setattr(ctypes, "CDLL", loading(library, seen))
    assert memory(2, maps) == (3 * 2**30, 80 * 2**30)
    assert (seen, library.numbers) == (["/x/libcudart.so.13"], [2])


def test_without_cuda_in_the_process_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text("7f00-7f01 r-xp 0 fe:00 1  /lib/libc.so.6\n")
    assert memory(0, tmp_path / "maps") is None
    assert memory(0, tmp_path / "none") is None


def test_a_gpu_that_cannot_be_chosen_is_not_told_of(
    maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", loading(Library(chosen=101), []))
    assert memory(9, maps) is None


def test_the_page_says_what_is_free_or_nothing() -> None:
    registry = CollectorRegistry()
    registry.register(GpuMemory(0, lambda number: (1, 2)))
    name = "sumserve_gpu_memory_bytes"
    found = [registry.get_sample_value(name, {"kind": kind}) for kind in ("free", "total")]
    assert found == [1, 2]
    (silent,) = GpuMemory(0, lambda number: None).collect()
    assert not silent.samples
