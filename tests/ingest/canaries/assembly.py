"""The set: 34 instances of six people that must come through, four that may be held back, and what lies beside them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset

from . import among, derived, encoding, graphics, hidden, neighbours, pictures, reports
from .header import Patient, Study, instance, patient, say_too_much, study
from .planting import Canaries, Instance, Planter
from .words import Inventor

Hide = Callable[[Planter, Dataset, int], None]
Change = Callable[[Planter, bytes], bytes]
STORAGE = "1.2.840.10008.5.1.4.1.1."
CORE, EXTRA = 34, 12


@dataclass
class Folder:
    """What has been written so far."""

    root: Path
    planter: Planter
    written: dict[str, Dataset] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    references: list[tuple[str, str]] = field(default_factory=list)

    def add(
        self,
        name: str,
        visit: Study,
        sop_class: str,
        modality: str,
        build: Callable,
        *,
        names: tuple[str, ...] = (),
        syntax: str = "explicit",
        hide: tuple[Hide, ...] = (),
        change: Change | None = None,
        alphabet: str = "",
        **flags: bool,
    ) -> None:
        """Write one object; `names` are those it refers to."""
        number = len(self.instances) + 1
        self.planter.file = name
        ds = instance(self.planter, visit, STORAGE + sop_class, modality, f"{modality} {name[:2]}", number)
        if build.__module__ == pictures.__name__:
            build(self.planter, ds, visit, number)
        else:
            build(self.planter, ds, visit, [self.written[other] for other in names])
        if alphabet:
            neighbours.in_script(self.planter, ds, alphabet)
        for step in hide:
            step(self.planter, ds, number)
        say_too_much(self.planter, ds, number)
        hidden.share_of_the_dictionary(self.planter, ds, number)
        content = encoding.encoded(self.planter, ds, syntax)
        path = self.root / neighbours.file_name(self.planter, name, visit.date, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change(self.planter, content) if change else content)
        self.written[name] = ds
        self.references += [(ds.SOPInstanceUID, self.written[other].SOPInstanceUID) for other in names]
        who = str(ds.PatientID)
        self.instances.append(
            Instance(
                str(path.relative_to(self.root)), number, who, modality, STORAGE + sop_class, ds.SOPInstanceUID, **flags
            )
        )


def write_canaries(root: Path, seed: int = 20) -> Canaries:
    """Write the whole set below `root`, and tell what was planted where."""
    planter = Planter(Inventor(seed))
    folder = Folder(root, planter)
    people = _people(planter)
    with encoding.carelessly():
        for write in (_planned, _scanned, _filmed, _traced, _reported, _signed, _held_back):
            write(folder, people)
        neighbours.write_dicomdir(planter, root, folder.instances, list(folder.written.values()))
    assert len(folder.instances) == CORE + EXTRA
    neighbours.write_texts(planter, root)
    return Canaries(root, tuple(folder.instances), tuple(planter.book), tuple(folder.references))


def _people(planter: Planter) -> list[Patient]:
    """One for each way that names are written."""
    person = partial(patient, planter)
    return [
        person("patient A", "ISO_IR 100", (), sex="F", age="063Y", born=1951),
        person("patient B", ["", "ISO 2022 IR 87"], ("kanji", "katakana"), sex="M", age="041Y", born=1973),
        person("patient C", "ISO_IR 192", ("arabic",), sex="F", age="094Y", born=1919),
        person("patient D", "GB18030", ("hanzi",), sex="M", age="007Y", born=2006),
        person("patient E", ["", "ISO 2022 IR 149"], ("hangul",), sex="O", age="055Y", born=1958),
        person("patient F", "ISO_IR 144", ("cyrillic",), sex="M", age="033Y", born=1980),
    ]


def _planned(folder: Folder, people: list[Patient]) -> None:
    visit = study(folder.planter, people[0], "CT CHEST W CONTRAST")
    ct = partial(folder.add, visit=visit, sop_class="2", modality="CT", build=pictures.ct)
    ct("A1 ct", hide=(hidden.private_blocks, graphics.overlays, graphics.provenance), change=encoding.trailing_block)
    ct("A1 ct implicit", syntax="implicit", hide=(hidden.deep, graphics.codes, encoding.after_the_pixels))
    ct("A1 ct deflated", syntax="deflated", hide=(hidden.unknown, graphics.curves, among.already_scrubbed))
    ct("A1 ct rle", syntax="RLE", hide=(hidden.written_days, graphics.icon))
    slices = ("A1 ct", "A1 ct implicit", "A1 ct deflated", "A1 ct rle")
    add = partial(folder.add, visit=visit)
    add(
        "A2 struct", sop_class="481.3", modality="RTSTRUCT", build=derived.structures, names=slices, hide=(hidden.deep,)
    )
    add("A2 plan", sop_class="481.5", modality="RTPLAN", build=derived.plan, names=("A2 struct",), syntax="implicit")
    add("A2 dose", sop_class="481.2", modality="RTDOSE", build=derived.dose, names=("A2 plan",), syntax="implicit")
    add("A3 seg", sop_class="66.4", modality="SEG", build=derived.segmentation, names=slices, hide=(hidden.unknown,))
    add(
        "A4 sr",
        sop_class="88.33",
        modality="SR",
        build=reports.report,
        names=("A3 seg", *slices),
        hide=(graphics.codes,),
    )
    add("A5 ko", sop_class="88.59", modality="KO", build=reports.key_objects, names=("A1 ct", "A1 ct rle"))
    add(
        "A6 pr",
        sop_class="11.1",
        modality="PR",
        build=derived.presentation,
        names=slices[:2],
        hide=(graphics.provenance,),
    )
    later = study(folder.planter, people[0], "CT CHEST WITHOUT CONTRAST")
    ct("A7 ct", visit=later, hide=(hidden.wrong_vrs, encoding.in_spare_bits), change=encoding.group_length)


def _scanned(folder: Folder, people: list[Patient]) -> None:
    visit = study(folder.planter, people[1], "MR BRAIN T1")
    mr = partial(folder.add, visit=visit, sop_class="4", modality="MR", build=pictures.mr, alphabet="kanji")
    mr("B1 mr", hide=(hidden.private_blocks, hidden.deep), change=encoding.trailing_text)
    mr("B1 mr implicit", syntax="implicit", hide=(hidden.private_blocks, graphics.provenance))
    mr("B1 mr big", syntax="big endian", hide=(graphics.codes, graphics.overlays))
    mr("B2 headless", syntax="headless", hide=(hidden.private_blocks, hidden.deep, among.in_descriptions))
    mr("B3 enhanced", sop_class="4.1", build=pictures.enhanced, hide=(graphics.codes, hidden.times, hidden.zip_codes))
    mr("B4 raw", sop_class="66", build=derived.raw_data, names=("B1 mr",))


def _filmed(folder: Folder, people: list[Patient]) -> None:
    visit = study(folder.planter, people[2], "XR CHEST PA")
    film = partial(folder.add, visit=visit, build=pictures.projection, alphabet="greek")
    spoken = (hidden.written_days, hidden.zip_codes, graphics.signatures, encoding.in_spare_bits)
    film("C1 cr", sop_class="1", modality="CR", hide=spoken)
    film("C2 dx", sop_class="1.1", modality="DX", syntax="JPEG-LS", hide=(graphics.overlays, graphics.profile))
    film("C3 mg", sop_class="1.2", modality="MG", syntax="JPEG 2000", hide=(graphics.icon, hidden.private_blocks))
    film("C4 enhanced", sop_class="2.1", modality="CT", build=pictures.enhanced, hide=(hidden.unknown,))
    film("C5 pdf", sop_class="104.1", modality="DOC", build=derived.document, names=("C1 cr",), held_back=True)


def _traced(folder: Folder, people: list[Patient]) -> None:
    visit = study(folder.planter, people[3], "PET WHOLE BODY")
    add = partial(folder.add, visit=visit, alphabet="hanzi")
    add(
        "D1 us",
        sop_class="3.1",
        modality="US",
        build=pictures.frames,
        syntax="JPEG",
        hide=(graphics.curves, among.already_scrubbed),
    )
    add("D2 nm", sop_class="20", modality="NM", build=pictures.frames, hide=(encoding.after_the_pixels, graphics.codes))
    add("D3 pet", sop_class="128", modality="PT", build=pictures.pet, hide=(hidden.deep, hidden.times))
    add("D3 pet rle", sop_class="128", modality="PT", build=pictures.pet, syntax="RLE", hide=(hidden.wrong_vrs,))
    add("D4 sc", sop_class="7", modality="OT", build=pictures.capture, hide=(graphics.profile, graphics.provenance))


def _reported(folder: Folder, people: list[Patient]) -> None:
    visit = study(folder.planter, people[4], "ECG REST")
    add = partial(folder.add, visit=visit, alphabet="hangul")
    add("E1 ecg", sop_class="9.1.1", modality="ECG", build=derived.waveform, hide=(hidden.private_blocks,))
    add("E2 sr", sop_class="88.22", modality="SR", build=reports.report, names=("E1 ecg",), hide=(hidden.deep,))
    add("E3 text", sop_class="88.11", modality="SR", build=reports.report, names=("E1 ecg",), syntax="deflated")


def _signed(folder: Folder, people: list[Patient]) -> None:
    visit = study(folder.planter, people[5], "ANGIO ABDOMEN")
    add = partial(folder.add, visit=visit, alphabet="cyrillic")
    add("F1 xa", sop_class="12.1", modality="XA", build=pictures.frames, hide=(graphics.signatures, graphics.curves))
    add(
        "F2 rf",
        sop_class="12.2",
        modality="RF",
        build=pictures.frames,
        syntax="big endian",
        hide=(hidden.written_days,),
    )
    add(
        "F3 mr",
        sop_class="4",
        modality="MR",
        build=pictures.mr,
        hide=(graphics.icon, hidden.wrong_vrs),
        change=encoding.said_twice,
    )


def _held_back(folder: Folder, people: list[Patient]) -> None:
    """Beyond the 34: words in pixels, documents, and headers so odd that they may be refused; but never let through."""
    visit = study(folder.planter, people[3], "US ABDOMEN")
    folder.add("D8 us", visit, "3.1", "US", pictures.burned_in, burned_in=True)
    folder.add("D9 sc", visit, "7", "OT", pictures.burned_in, burned_in=True)
    folder.add("D9 cda", visit, "104.2", "DOC", derived.document, names=("D4 sc",), held_back=True)
    folder.add("D9 stl", visit, "104.3", "M3D", derived.document, names=("D4 sc",), held_back=True)
    odd = partial(folder.add, visit=visit, held_back=True)
    odd("G1 ct", sop_class="2", modality="CT", build=pictures.ct, hide=(among.behind_values, among.in_standard_codes))
    odd("G2 mr", sop_class="4", modality="MR", build=pictures.mr, hide=(among.behind_values, among.in_safe_private))
    odd("G3 pt", sop_class="128", modality="PT", build=pictures.pet, syntax="implicit", hide=(among.in_descriptions,))
    odd(
        "G4 mr",
        sop_class="4",
        modality="MR",
        build=pictures.mr,
        hide=(among.beyond_the_tables, among.below_the_root_of_dicom),
    )
    odd("G4 short", sop_class="4", modality="MR", build=pictures.mr, hide=(among.short_numbers,))
    odd("G5 mr", sop_class="4", modality="MR", build=pictures.mr, hide=(among.character_sets,))
    odd("G6 mg", sop_class="1.2", modality="MG", build=pictures.projection, syntax="JP2")
    odd("G7 us", sop_class="3.1", modality="US", build=pictures.frames, syntax="video")
