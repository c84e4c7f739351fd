"""The pipeline on real scans, where they are at hand."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
on_real_images = [
    pytest.mark.real_images,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the real images are not at hand"),
]
pytestmark = on_real_images


def test_pictures_of_chest_ct_fill_the_range(builder) -> None:
    for patient, path in enumerate(sorted((SHARED / "covid_ct" / "images").glob("*.png"))[:20]):
        with Image.open(path) as picture:
            builder.picture(patient, np.asarray(picture.convert("L")), label=patient % 2)
    data = builder.dataset(modalities=["ct"], image_size=(96, 96), augment=True)
    for patient in data.patients:
        case = next(data.whole(patient))
        assert case.image.min() >= -1
        assert case.image.max() <= 1
        assert case.image.std() > 0.2
        assert data.fetch(patient, step=0).inputs.isfinite().all()


def test_brain_mr_is_normalised_and_its_tumour_kept(builder) -> None:
    for number, folder in enumerate(sorted(path for path in (SHARED / "lgg_mri").iterdir() if path.is_dir())[:3]):
        scans = {name: nib.load(folder / f"{folder.name}_{name}.nii.gz") for name in ("t1", "flair", "t1ce", "seg")}
        arrays = {name: np.asarray(scan.dataobj).astype(np.float32) for name, scan in scans.items()}
        mask = arrays.pop("seg")
        builder.volume(number, arrays, mask=mask, affine=scans["t1"].affine)
        data = builder.dataset(modalities=["flair", "t1", "t1ce"], image_size=(128, 128))
        case = next(data.whole(f"p-{number:012x}"))
        assert case.target[:, 0].sum() == (mask > 0).sum()
        inside = case.image[case.image != 0]
        assert abs(float(inside.mean())) < 0.02
        assert abs(float(inside.std()) - 1) < 0.02
