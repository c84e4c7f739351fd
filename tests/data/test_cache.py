"""The cache: never another answer than the images give, whatever happens to its files."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dpmed.core.errors import MismatchError
from dpmed.core.events import Progress

PATIENT = "p-000000000001"


def files(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.safetensors"))


def fetched(data) -> list[torch.Tensor]:
    return [tensor for patient in data.patients for tensor in vars(data.fetch(patient, step=0)).values()]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("settings", [{}, {"spatial_dims": 3, "image_size": (4, 8, 8)}], ids=["2-D", "3-D"])
def test_a_cached_case_is_a_fresh_case(brains, tmp_path: Path, settings) -> None:
    uncached, cached = brains.dataset(**settings), brains.dataset(cache=tmp_path, **settings)
    fresh = fetched(uncached)
    miss = fetched(cached)
    assert len(files(tmp_path)) == 4
    assert equal(fresh, miss)
    assert equal(fresh, fetched(cached))
    for patient in cached.patients:
        for one, other in zip(uncached.whole(patient), cached.whole(patient), strict=True):
            assert torch.equal(one.image, other.image)
            assert torch.equal(one.target, other.target)
            assert one.spacing_mm == other.spacing_mm


def test_prepare_reports_every_case_and_leaves_nothing_to_do(brains, tmp_path: Path) -> None:
    data = brains.dataset(cache=tmp_path)
    assert list(data.prepare()) == [Progress("cases", n, 4) for n in (1, 2, 3, 4)]
    written = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
    list(data.prepare())
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path)} == written


def test_a_cache_hit_reads_no_image(brains, tmp_path: Path) -> None:
    before = fetched(brains.dataset(cache=tmp_path))
    for image in brains.folder.rglob("*.nii.gz"):
        image.unlink()
    assert equal(fetched(brains.dataset(cache=tmp_path)), before)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "garbage", "lacking"])
def test_a_damaged_cache_file_is_made_again_when_read(brains, tmp_path: Path, damage: str) -> None:
    before = fetched(brains.dataset(cache=tmp_path))
    for path in files(tmp_path):
        content = path.read_bytes()
        if damage == "lacking":
            save_file({"image": load_file(path)["image"]}, path)
        else:
            path.write_bytes({"truncated": content[:-100], "emptied": b"", "garbage": b"\xff" * 500}[damage])
    assert equal(fetched(brains.dataset(cache=tmp_path)), before)
    assert all("regions" in load_file(path) for path in files(tmp_path))


def test_a_case_that_was_read_is_not_held_in_memory(brains, tmp_path: Path) -> None:
    """What stays open is mapped from its file, on Linux to be seen among the process's mappings."""
    data = brains.dataset(cache=tmp_path)
    fetched(data)
    if (maps := Path("/proc/self/maps")).exists():
        assert {line.split()[-1] for line in maps.read_text().splitlines()} >= set(map(str, files(tmp_path)))


def test_one_flipped_bit_is_found_by_prepare(brains, tmp_path: Path) -> None:
    data = brains.dataset(cache=tmp_path)
    before = fetched(data)
    for path in files(tmp_path):
        content = bytearray(path.read_bytes())
        content[-50] ^= 1
        path.write_bytes(content)
    list(data.prepare())
    assert equal(fetched(data), before)


def test_other_settings_never_read_this_cache(brains, tmp_path: Path) -> None:
    for settings in ({}, {"modalities": ["flair"]}, {"image_size": (8, 8)}, {"spacing_mm": (2, 2)}):
        assert equal(fetched(brains.dataset(cache=tmp_path, **settings)), fetched(brains.dataset(**settings)))
    assert len(files(tmp_path)) == 4 * 4


def test_settings_of_a_step_share_one_cache(brains, tmp_path: Path) -> None:
    fetched(brains.dataset(cache=tmp_path))
    fetched(brains.dataset(cache=tmp_path, augment=True, draws_per_patient=2, foreground_fraction=0, seed=4))
    assert len(files(tmp_path)) == 4


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_an_image_changed_since_ingest_is_refused(brains, tmp_path: Path, kind: str) -> None:
    data = brains.dataset(cache=tmp_path)
    first, *_, last = sorted(path for path in (brains.folder / kind).iterdir() if "flair" not in path.name)
    first.write_bytes(last.read_bytes())
    with pytest.raises(MismatchError, match="changed since it was ingested"):
        list(data.prepare())


def test_a_missing_image_is_refused_without_its_path(brains) -> None:
    for image in brains.folder.rglob("*.nii.gz"):
        image.unlink()
    with pytest.raises(MismatchError) as caught:
        brains.dataset().fetch(PATIENT, step=0)
    assert str(brains.folder) not in caught.value.message
