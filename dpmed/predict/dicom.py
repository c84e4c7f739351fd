"""Answers as DICOM, made by highdicom: a Segmentation of a series, or a Structured Report (TID 1500) of a probability.

Both name the patient, the study and the very images they were made from, as a PACS needs to file and show them.
"""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Bool

from dpmed import __version__
from dpmed.core.errors import ConfigError
from dpmed.core.files import written_aside
from dpmed.core.runconfig import RunConfig
from dpmed.ingest.jobs import Part
from dpmed.ingest.opened import open_dicom
from dpmed.ingest.quiet import reading
from dpmed.predict.tables import PRIVATE

SERIES_NUMBER = 9000
"""High, so that viewers list it after the scanner's own series."""
MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "StudyID", "ReferringPhysicianName",
)  # fmt: skip
"""Type 2: they must be there, and many an export leaves them out."""
RESEARCH = "research only, not a medical device"


def require_highdicom() -> None:
    """Raises `ConfigError` where the extra is missing."""
    if importlib.util.find_spec("highdicom") is None:
        raise ConfigError("--dicom-seg needs highdicom", hint='pip install "dpmed[dicom]"')


def write_segmentation(path: Path, part: Part, regions: Bool[np.ndarray, "region x y z"], config: RunConfig) -> bool:
    """A binary segment per region on the frames of the series; False where those are in several multi-frame files."""
    from highdicom.seg import Segmentation, SegmentationTypeValues

    placed = _on_frames(part, np.transpose(regions, (3, 2, 1, 0)))
    if placed is None:
        return False
    sources, planes = placed
    with reading():
        made = Segmentation(
            source_images=sources,
            pixel_array=planes.astype(np.uint8),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[_segment(n, name, config) for n, name in enumerate(config.task.outputs, start=1)],
            content_description=RESEARCH,
            content_label="DPMED",
            **_equipment(config),
        )
    _save(made, path)
    return True


def write_report(path: Path, part: Part, probability: float, config: RunConfig) -> None:
    """A measurement report with the probability of a scan as its one number, on the images it was made from."""
    from highdicom.sr import EnhancedSR

    with reading():
        sources = _headers(dict.fromkeys(source.path for source in part.files))
        made = EnhancedSR(
            evidence=sources,
            content=_report(probability, config)[0],
            is_final=False,
            is_complete=True,
            **_equipment(config),
        )
    _save(made, path)


def _on_frames(
    part: Part, planes: Bool[np.ndarray, "slice row column region"]
) -> tuple[list[pydicom.Dataset], Bool[np.ndarray, "frame row column region"]] | None:
    """The headers of a series, and a plane for each of their frames, in one order."""
    assert part.stack is not None
    shown = [layer[0] for layer in part.stack.layers]
    paths = [part.files[index].path for index in shown]
    if part.headers[shown[0]].frame is None:
        return _headers(paths), planes
    if len(set(paths)) > 1:
        return None
    (header,) = _headers(paths[:1])
    frames = np.zeros((int(header.NumberOfFrames), *planes.shape[1:]), dtype=bool)
    frames[[part.headers[index].frame or 0 for index in shown]] = planes
    return [header], frames


def _headers(paths: Iterable[Path]) -> list[pydicom.Dataset]:
    found: list[pydicom.Dataset] = []
    for path in paths:
        with open_dicom(path) as file, reading():
            header = file.header()
        for keyword in MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
        found.append(header)
    return found


def _equipment(config: RunConfig) -> dict[str, Any]:
    """What both kinds of object say about themselves."""
    from highdicom import UID

    return {
        "series_instance_uid": UID(),
        "series_number": SERIES_NUMBER,
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": "dpmed",
        "manufacturer_model_name": f"{config.recipe.name}, {RESEARCH}"[:64],
        "software_versions": __version__,
        "device_serial_number": config.run,
        "series_description": f"dpmed {config.recipe.name}: {RESEARCH}"[:64],
    }


def _segment(number: int, region: str, config: RunConfig) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=number,
        segment_label=region.replace("_", " "),
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=f"dpmed {config.recipe.name}", family=codes.DCM.ArtificialIntelligence, version=config.run
        ),
    )


def _report(probability: float, config: RunConfig) -> Any:
    from highdicom import UID, sr
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    algorithm = sr.AlgorithmIdentification(name=f"dpmed {config.recipe.name}", version=config.run)
    rated = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=UID(), identifier=config.task.outputs[0]),
        finding_type=Code("840539006", "SCT", "COVID-19"),
        algorithm_id=algorithm,
        measurements=[sr.Measurement(name=codes.DCM.Probability, value=round(probability, 6), unit=codes.UCUM.NoUnits)],
    )
    device = sr.DeviceObserverIdentifyingAttributes(uid=UID(), name="dpmed", model_name=RESEARCH)
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=Code("363679005", "SCT", "Imaging"),
        imaging_measurements=[rated],
    )


def _save(made: pydicom.Dataset, path: Path) -> None:
    with written_aside(path, mode=PRIVATE) as aside:
        made.save_as(aside)
