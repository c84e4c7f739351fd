"""What is written for one scan: a mask on the voxels of the input and, if asked for, DICOM about the series."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from dpmed.core.runconfig import RunConfig
from dpmed.ingest.nifti import Volume, write_nifti
from dpmed.ingest.reasons import Refused
from dpmed.predict.back import labelled
from dpmed.predict.dicom import write_report, write_segmentation
from dpmed.predict.reading import Reading
from dpmed.predict.request import Answer

NOT_REFERABLE = "no DICOM: its headers lack what a PACS needs to find the series"
SCATTERED = "no DICOM: the series is spread over several multi-frame files"
NO_SERIES = "no DICOM: the input is none"


def with_masks(
    answer: Answer, regions: Bool[np.ndarray, "region x y z"], reading: Reading, config: RunConfig, out: Path
) -> Answer:
    """Write the labels as NIfTI on the voxels of the input."""
    assert config.label_scheme is not None, "a run on regions knows its labels"
    name = f"{answer.scan}_seg.nii.gz"
    write_nifti(out / name, Volume(labelled(regions, config.label_scheme), reading.grid))
    millilitres = abs(np.linalg.det(reading.grid[:3, :3])) / 1000
    volumes = {
        region: float(voxels.sum() * millilitres) for region, voxels in zip(config.task.outputs, regions, strict=True)
    }
    return replace(answer, volumes_ml=volumes, files=(name,))


def with_dicom(
    answer: Answer, regions: Bool[np.ndarray, "region x y z"] | None, config: RunConfig, out: Path
) -> Answer:
    """Write a DICOM segmentation of the regions, or a report of the probability, where the input is a series."""
    part = answer.candidate.parts[0]
    if part.stack is None:
        return replace(answer, remark=NO_SERIES)
    name = f"{answer.scan}_{'report' if regions is None else 'seg'}.dcm"
    try:
        if regions is None:
            assert answer.probability is not None, "a scan without regions has a probability"
            write_report(out / name, part, answer.probability, config)
        elif not write_segmentation(out / name, part, regions, config):
            return replace(answer, remark=SCATTERED)
    except Refused:
        return replace(answer, remark=NOT_REFERABLE)
    return replace(answer, files=(*answer.files, name))
