"""Features are computed once per case, found again by other runs, and never taken from a damaged file."""

import torch

from dpmed.data.features import Features
from dpmed.data.prepared import PreparedCase


def case(slices=5):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(slices, 1, 4, 4, generator=generator).half()
    tissue = torch.tensor([[1], [3]], dtype=torch.int32)
    return PreparedCase(image, None, tissue, torch.zeros(0, 1, dtype=torch.int32), (1.0, 1.0))


def counted(asked):
    def network(images):
        asked.append(len(images))
        return images.flatten(1).cumsum(1)[:, ::4]

    return network


def test_every_slice_with_tissue_has_its_row_and_others_have_zeros(tmp_path):
    rows = Features(counted([]), "d").of("c", case(), tmp_path / "c.safetensors")
    wanted = counted([])(case().image.float())
    assert torch.equal(rows[[1, 3]], wanted[[1, 3]])
    assert not rows[[0, 2, 4]].any()


def test_features_are_computed_once_for_all_runs_of_a_network(tmp_path):
    asked = []
    for _ in range(2):
        features = Features(counted(asked), "d")
        for _ in range(3):
            features.of("c", case(), tmp_path / "c.safetensors")
    assert asked == [2]
    Features(counted(asked), "another").of("c", case(), tmp_path / "c.safetensors")
    assert asked == [2, 2]


def test_a_damaged_file_of_features_is_made_again(tmp_path):
    rows = Features(counted([]), "d").of("c", case(), tmp_path / "c.safetensors")
    (file,) = tmp_path.glob("features-d/*")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    asked = []
    again = Features(counted(asked), "d").of("c", case(), tmp_path / "c.safetensors")
    assert asked == [2]
    assert torch.equal(again, rows)


def test_without_a_cache_they_are_kept_in_memory():
    asked = []
    features = Features(counted(asked), "d")
    assert torch.equal(features.of("c", case(), None), features.of("c", case(), None))
    assert asked == [2]
