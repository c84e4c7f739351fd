"""Why something was held back, as a word that can be shown: a reason never quotes what was in the file."""

from enum import StrEnum


class Reason(StrEnum):
    """One reason for quarantine; the value is what the user reads."""

    NOT_DICOM = "named like DICOM but is not DICOM"
    NOT_AN_IMAGE = "DICOM without a picture (report, plan, segmentation, document)"
    CLOSED = "no permission to read it"
    UNREADABLE = "damaged or malformed"
    TRUNCATED = "shorter than its header says"
    TOO_LARGE = "larger than the limits against hostile files"
    TOO_DEEP = "sequences nested too deeply"
    DEFLATED = "deflated DICOM (compressed as a whole)"
    COMPRESSED = "compressed by a codec that is not installed"
    MULTI_FRAME = "several frames in one file"
    COLOUR = "colour pixels"
    DEPTH = "pixels deeper than 16 bits"
    BURNED_IN = "a kind of picture that usually has text burned in (ultrasound, screenshots)"
    NO_CLASS = "it does not say what kind of object it is"
    DOCUMENT = "an encapsulated document (PDF, CDA, STL), which cannot be searched for identifiers"
    VIDEO = "a video stream, which cannot be searched for identifiers"
    AUDIO = "a recording of a voice, which identifies and may name somebody"
    TEXT = "text burned into its pixels"
    MODALITY = "a modality that no task here uses"
    MISSING_FILE = "listed in the DICOMDIR but not there"
    NO_SERIES = "no series UID"
    NO_PATIENT = "no patient is known for it"
    TWO_PATIENTS = "two patients in one series"
    PATIENT_CONFLICT = "the label file and the header name different patients"
    NO_LABEL = "no label"
    LABEL_CONFLICT = "its patient has both labels"
    NO_GEOMETRY = "no position or orientation"
    MIXED_ORIENTATION = "slices of different orientations (a localiser)"
    LOCALISER = "a localiser"
    MOSAIC = "a mosaic: many slices side by side in one picture"
    MIXED_SIZE = "slices of different size, spacing or kind"
    OVERLAPPING = "several different slices at one position"
    MISSING_SLICES = "missing slices"
    UNEVEN_SPACING = "unevenly spaced slices"
    CROOKED = "slices that do not lie on a line"
    NO_RESCALE = "CT without rescale slope and intercept"
    NOT_3D = "not a three-dimensional image"
    BAD_AFFINE = "an affine that is not a grid"
    NON_FINITE = "voxels that are not numbers"
    NO_IMAGE = "a mask without an image"
    UNKNOWN_NAME = "a name of no known layout"
    GRIDS_DIFFER = "images of one case on different grids"
    MASK_GRID = "a mask on another grid than its image"
    MASK_LABELS = "mask values outside the label scheme"
    MASK_FRACTIONS = "a segmentation in fractions, not in labels"
    MASK_OVERLAPS = "a segmentation with two segments in one voxel"
    MASK_TWICE = "several masks for one image"
    MODALITY_TWICE = "two files for one sequence"
    FACE = "a head scan with a face"
    FACE_STAYS = "a face that could not be removed with certainty without touching the brain"


class Refused(Exception):
    """Raised inside the room where one file or case cannot be used; becomes a line of the quarantine."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason

    def __reduce__(self) -> tuple[type["Refused"], tuple[Reason]]:
        return Refused, (self.reason,)
