"""Which kinds of objects usually have text burned in, from what their header says."""

from collections.abc import Mapping
from enum import IntEnum


class Risk(IntEnum):
    """How likely identifying text is in the pixels."""

    RARE = 0
    LIKELY = 1
    """A kind of picture that usually carries names: ultrasound, screenshots, secondary captures, photographs."""
    DECLARED = 2
    """Its header says so."""


LIKELY_MODALITIES = frozenset({"US", "IVUS", "OT", "SC", "XC", "ES", "GM", "OP", "DOC", "ECG", "HC"})
LIKELY_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture, and multi-frame ones below it
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound Image
    "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame Image
    "1.2.840.10008.5.1.4.1.1.77.1",  # Visible Light
)
SCREEN_WORDS = ("SCREEN", "DOSE", "REPORT", "CAPTURE")
"""In ImageType: what a scanner prints on a slice-sized page."""


def risk(header: Mapping[str, str]) -> Risk:
    """By `burned_in`, `modality`, `sop_class` and `image_type`, as text, any of them empty."""
    if header.get("burned_in", "").upper() == "YES":
        return Risk.DECLARED
    is_screen = any(word in header.get("image_type", "").upper() for word in SCREEN_WORDS)
    is_class = header.get("sop_class", "").startswith(LIKELY_CLASSES)
    is_modality = header.get("modality", "").upper() in LIKELY_MODALITIES
    return Risk.LIKELY if is_screen or is_class or is_modality else Risk.RARE
