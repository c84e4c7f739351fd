"""Objects put together by chance: any tag, any representation, any nesting, a planted word in every value."""

import random
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.valuerep import AMBIGUOUS_VR, VR

from . import pictures
from .encoding import carelessly, encoded
from .header import instance, patient, study
from .hidden import raw
from .planting import Canaries, Instance, Planter
from .words import Inventor

VRS = tuple(vr for vr in VR if vr not in AMBIGUOUS_VR | {VR.SQ, VR.UN})
CHARSETS = ("ISO_IR 192", "GB18030", "ISO_IR 100")
IMAGES = (
    ("2", "CT", pictures.ct),
    ("4", "MR", pictures.mr),
    ("7", "OT", pictures.capture),
    ("1", "CR", pictures.projection),
)
SYNTAXES = ("explicit", "implicit", "deflated", "RLE", "JPEG-LS")
FIRST, PIXELS, LAST = 0x0008, 0x0028, 0x7FE0
"""Groups: what describes the pixels stays as it is, or nothing would be written. Nor the character set, element 5."""


def random_canaries(root: Path, seed: int, *, files: int = 12, elements: int = 60) -> Canaries:
    """Write some images whose headers are drawn by chance; the same for the same seed."""
    planter, draw = Planter(Inventor(seed)), random.Random(seed)
    instances = []
    with carelessly():
        for number in range(1, files + 1):
            charset = draw.choice(CHARSETS)
            who = patient(planter, f"patient {number}", charset, (), sex="F", age="050Y", born=1960)
            visit = study(planter, who, "CT")
            planter.file = f"{number}"
            sop_class, modality, build = draw.choice(IMAGES)
            ds = instance(planter, visit, f"1.2.840.10008.5.1.4.1.1.{sop_class}", modality, "only", number)
            build(planter, ds, visit, number)
            for _ in range(elements):
                _add(planter, ds, draw, depth=draw.choice((0, 0, 0, 1, 2, 8)))
            (root / f"{number}").write_bytes(encoded(planter, ds, _syntax(draw, ds)))
            instances.append(Instance(f"{number}", number, who.number, modality, ds.SOPClassUID, ds.SOPInstanceUID))
    return Canaries(root, tuple(instances), tuple(planter.book))


def _syntax(draw: random.Random, ds: Dataset) -> str:
    return draw.choice(SYNTAXES if ds.SamplesPerPixel == 1 else SYNTAXES[:3])


def _add(planter: Planter, ds: Dataset, draw: random.Random, depth: int) -> None:
    """One element that is not there yet: a value, or a sequence of such."""
    tag = _tag(draw)
    while tag in ds or not _may_hold(tag, depth):
        tag = _tag(draw)
    if depth:
        items = [Dataset() for _ in range(draw.randint(1, 2))]
        for item in items:
            _add(planter, item, draw, depth - 1 if item is items[0] else 0)
            _add(planter, item, draw, 0)
        ds.add_new(tag, "SQ", items)
        ds[tag].is_undefined_length = draw.random() < 0.5
    else:
        known = _known(tag)
        vr = known if known in VRS and draw.random() < 0.5 else draw.choice(VRS)
        place = f"{tag >> 16:04X},{tag & 0xFFFF:04X} as {vr}, known as {known or 'nothing'}"
        raw(ds, tag, vr, _padded(_value(planter, draw, place, days=not {vr, known} & {"DS", "IS"})))


def _known(tag: int) -> str:
    return DicomDictionary[tag][0][:2] if tag in DicomDictionary else ""


def _may_hold(tag: int, depth: int) -> bool:
    """A sequence where values are known, or the reverse, would be a damaged file where representations are implicit."""
    group, element = tag >> 16, tag & 0xFFFF
    fits = not _known(tag) or (_known(tag) == "SQ") == (depth > 0)
    return FIRST <= group < LAST and group != PIXELS and element not in (0, 5) and fits


def _tag(draw: random.Random) -> int:
    kind = draw.random()
    if kind < 0.6:
        return draw.choice(list(DicomDictionary))
    group = draw.randrange(0x0008, 0x7FE0)
    if kind < 0.8:
        group |= 1  # private
        return (group << 16) + draw.choice((0x10, 0x1001, 0x10FF, draw.randrange(0x10000)))
    return (group << 16) + draw.randrange(0x10000)


def _value(planter: Planter, draw: random.Random, place: str, *, days: bool) -> bytes:
    """Text of some sort; days only where they are not also plain numbers."""
    kind = draw.random()
    if kind < 0.1:
        return planter.uid(place).encode()
    if kind < 0.2 and days:
        return planter.day(place, 1930, 2000).encode()
    if 0.2 < kind < 0.25:
        return planter.written_day(place, draw.randrange(8 if not days else 14)).encode()
    word = planter.word(place)
    around = ("{}", "CT {} CHEST", "{}\\AXIAL", "1.5\\{}", "20200101 {}", "{:>64}", "AXIAL\n{}", "{}=x=y", "\x1b$B{}")
    text = draw.choice(around).format(word)
    return text.encode(draw.choice(("utf-8", "utf-8", "utf-8", "utf-16-le", "utf-16-be")))


def _padded(value: bytes) -> bytes:
    """A whole number of values of any representation."""
    return value + b" " * (-len(value) % 8)
