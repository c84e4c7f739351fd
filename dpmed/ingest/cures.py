"""What the user can do about a file that was held back, for each reason."""

from collections import Counter
from collections.abc import Mapping

from dpmed.core.errors import NoInputError
from dpmed.ingest.reasons import Reason

AGAIN = "export it anew from the archive and ingest again"
LABELS = "complete the label file and ingest again"
NOTHING = "nothing to do: it is not meant for this dataset"
AS_DICOM = "use --format dicom, which keeps it"
ONE_BY_ONE = "sort it out at the source; --labels CSV can name patients by path"
RESAMPLE = "resample at the source to one grid, or leave it out"

CURES: Mapping[Reason, str] = {
    Reason.NOT_DICOM: "check how it got there; other text beside images is never copied",
    Reason.NOT_AN_IMAGE: AS_DICOM,
    Reason.CLOSED: "ask for permission to read it",
    Reason.UNREADABLE: AGAIN,
    Reason.TRUNCATED: AGAIN,
    Reason.TOO_LARGE: "if it is genuine, divide it at the source",
    Reason.TOO_DEEP: "do not trust it: no scanner writes this; " + AGAIN,
    Reason.DEFLATED: "inflate it at the source and ingest again",
    Reason.COMPRESSED: "install the codec (dpmed doctor names it), or decompress at the source",
    Reason.MULTI_FRAME: AS_DICOM,
    Reason.COLOUR: AS_DICOM,
    Reason.DEPTH: AS_DICOM,
    Reason.BURNED_IN: "look at it; with --format dicom, --pixels redact paints its text over and ignore leaves it",
    Reason.NO_CLASS: AGAIN,
    Reason.DOCUMENT: "a person has to read it; a profile with documents = keep lets it through unsearched",
    Reason.VIDEO: "a person has to watch it; it cannot be released from here",
    Reason.AUDIO: "a person has to listen to it; it cannot be released from here",
    Reason.MODALITY: AS_DICOM,
    Reason.MISSING_FILE: "copy the whole medium and ingest again",
    Reason.NO_SERIES: AGAIN,
    Reason.NO_PATIENT: "name its patient: --labels CSV with image or case, patient",
    Reason.TWO_PATIENTS: "find out whose it is at the source before anything else: two people share one series",
    Reason.PATIENT_CONFLICT: "correct the label file or the header, whichever is wrong",
    Reason.NO_LABEL: LABELS,
    Reason.LABEL_CONFLICT: "give its patient one label, or leave the patient out",
    Reason.NO_GEOMETRY: "it cannot be stacked; " + AS_DICOM,
    Reason.MIXED_ORIENTATION: NOTHING,
    Reason.LOCALISER: NOTHING,
    Reason.MOSAIC: "unfold it with the scanner's software, or " + AS_DICOM,
    Reason.MIXED_SIZE: ONE_BY_ONE,
    Reason.OVERLAPPING: ONE_BY_ONE,
    Reason.MISSING_SLICES: "fetch the whole series from the archive and ingest again",
    Reason.UNEVEN_SPACING: "fetch the whole series from the archive, or " + RESAMPLE,
    Reason.CROOKED: RESAMPLE,
    Reason.NO_RESCALE: "its numbers have no unit; " + AGAIN,
    Reason.NOT_3D: "one volume a file: divide it at the source",
    Reason.BAD_AFFINE: "repair the header with the tool that wrote it",
    Reason.NON_FINITE: "repair the voxels with the tool that wrote it",
    Reason.NO_IMAGE: "add the image of this mask, or leave the mask out",
    Reason.UNKNOWN_NAME: "rename it (docs/cli.md), or name it in --labels CSV",
    Reason.GRIDS_DIFFER: RESAMPLE,
    Reason.MASK_GRID: RESAMPLE,
    Reason.MASK_LABELS: "declare its numbers: --label-scheme FILE",
    Reason.MASK_FRACTIONS: "make it a segmentation of whole voxels at the source",
    Reason.MASK_OVERLAPS: "decide at the source which segment a voxel belongs to",
    Reason.MASK_TWICE: "keep the mask that counts",
    Reason.MODALITY_TWICE: "keep the one to train on, or name the sequences in --labels CSV",
    Reason.TEXT: "look at its picture in quarantine/: --pixels redact paints the text over, --pixels ignore leaves it",
    Reason.FACE: "--faces remove takes the face off; --faces ignore takes it as it is, such as a part cut before",
    Reason.FACE_STAYS: "look at it: --faces ignore takes it if its face was cut off before; else deface it by hand",
}
READ = "see docs/cli.md for what dpmed ingest accepts and refuses"
LOOK = "look at the file at the source, repair it there and ingest again"


def cure(reason: str) -> str:
    """The next step for a reason, given by its words."""
    return next((text for known, text in CURES.items() if known.value == reason), LOOK)


def nothing_usable(what: str, held: Counter[str], *, is_reported: bool, labels_unmatched: int = 0) -> NoInputError:
    """The error where every file was held back, with the next step for the commonest reason."""
    reasons = ", ".join(f"{reason}: {count}" for reason, count in held.most_common()) or "nothing fits the task"
    if labels_unmatched:
        reasons += f"; rows of the label file that name nothing in the source: {labels_unmatched}"
    hint = cure(held.most_common(1)[0][0]) if held else READ
    more = "; scrub-report.html in --out says so of each file" if is_reported else ""
    return NoInputError(f"no usable {what}: {reasons}", hint=hint + more)
