"""From an input to the scans that the run can look at, read as `dpmed ingest` reads them."""

from collections import Counter
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.core.events import Progress
from dpmed.core.recipe import DataRecipe
from dpmed.ingest.cures import LOOK, cure
from dpmed.ingest.detect import Kind, detect
from dpmed.ingest.jobs import Candidate, HeldBack, Layout, Part
from dpmed.ingest.layout_dicom import dicom_layout
from dpmed.ingest.layout_nifti import NIFTI_SUFFIX, brats_layout, decathlon_layout
from dpmed.ingest.roster import Roster, read_roster
from dpmed.ingest.scan import Scanner
from dpmed.ingest.sources import Inventory, Source, inventory
from dpmed.predict.request import CURES, PredictRequest, Refusal, Unfit

NOT_MR = frozenset({"ct", "xray"})
UNDECLARED = ""
"""The modality of a file that does not say it."""
UPWARDS = frozenset({"..", "/", "//"})
LONGEST_PART = 200
ASSUMED = "ct"
"""What an undeclared image is in a run for CT, as in `dpmed ingest`; its numbers are looked at."""


@dataclass(frozen=True)
class Found:
    """Scans in a fixed order, each under a name that its output files can carry; and what is left out."""

    kind: Kind
    scans: tuple[tuple[str, Candidate], ...]
    refusals: tuple[Refusal, ...]


def look(request: PredictRequest, recipe: DataRecipe, scratch: Path) -> Generator[Progress, None, Found]:
    """Yield progress while reading headers; the value is what was found. Raises `NoInputError` if nothing is usable."""
    listed = inventory(request.source, scratch=scratch)
    detected = detect(listed.files)
    roster = read_roster(request.patients, with_labels=False) if request.patients else None
    scanner, scans = Scanner(detected.kind, harvest=False), []
    for file in detected.files:
        scans.append(scanner(file))
        yield Progress("reading headers", len(scans), len(detected.files))
    if detected.kind is Kind.DICOM:
        layout = dicom_layout({scan.source: scan.slices for scan in scans if scan.slices}, roster)
    else:
        layout = _layout(detected.kind, listed, detected.files, roster)
    held = [HeldBack("file", (scan.source,), scan.reason) for scan in scans if scan.reason]
    held += [HeldBack("file", (source,), reason) for source, reason in detected.refused.items()]
    refusals = [Refusal(_name_of(one.files), one.reason.value) for one in (*layout.held, *held)]
    fitting = []
    for candidate in layout.candidates:
        try:
            fitting.append(fitted(candidate, recipe, request.modality))
        except Misfit as misfit:
            refusals.append(Refusal(_name_of(candidate.files), misfit.unfit.value))
    return Found(detected.kind, tuple(zip(_names(detected.kind, fitting), fitting, strict=True)), tuple(refusals))


class Misfit(Exception):
    """Raised inside the room for a scan that is not one for this model."""

    def __init__(self, unfit: Unfit) -> None:
        super().__init__(unfit.name)
        self.unfit = unfit


def fitted(candidate: Candidate, recipe: DataRecipe, declared: str | None) -> Candidate:
    """The scan with the images that the recipe asks for and no other. Raises `Misfit`."""
    wanted = recipe.modalities
    parts = {part.modality: part for part in candidate.parts}
    if not set(wanted) <= set(parts):
        parts = {wanted[0]: _declared(candidate.parts, wanted, declared)}
    chosen = tuple(replace(parts[modality], modality=modality) for modality in wanted)
    if recipe.spatial_dims == 3 and any(part.stack is not None and len(part.stack.layers) == 1 for part in chosen):
        raise Misfit(Unfit.SINGLE)
    return replace(candidate, parts=chosen, mask=None, label=None, identity=candidate.identity or candidate.scan)


def _declared(parts: Sequence[Part], wanted: Sequence[str], declared: str | None) -> Part:
    """The one image, if the user says that it is the one modality of the run, and nothing speaks against it."""
    told = {part.modality for part in parts}
    if len(wanted) > 1 and (len(parts) > 1 or not told & NOT_MR):
        raise Misfit(Unfit.SEQUENCE)
    may_be = {UNDECLARED} if wanted[0] in NOT_MR else {UNDECLARED, "mr"}
    if len(parts) > 1 or not told <= may_be:
        raise Misfit(Unfit.MODALITY)
    if declared is None and wanted[0] != ASSUMED:
        raise Misfit(Unfit.UNDECLARED)
    return parts[0]


def require_declared(declared: str | None, recipe: DataRecipe) -> None:
    """Raises `ConfigError` for a `--modality` that is not the run's."""
    if declared is None or (declared,) == recipe.modalities:
        return
    raise ConfigError(
        f"the run was trained on {', '.join(recipe.modalities)}, not on {declared}",
        hint="--modality names what single images are: it can only be the one modality of the run",
    )


def require_any(found: Collection[object], refusals: Sequence[Refusal]) -> None:
    """Raises `NoInputError`, with the next step for the commonest reason, if no scan is left."""
    if found:
        return
    reasons = Counter(refusal.reason for refusal in refusals)
    words = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common()) or "it holds no image"
    commonest = reasons.most_common(1)[0][0] if reasons else ""
    own = next((text for unfit, text in CURES.items() if unfit.value == commonest), None)
    raise NoInputError(f"no scan to predict on: {words}", hint=own or (cure(commonest) if commonest else LOOK))


def _layout(kind: Kind, listed: Inventory, files: Sequence[Source], roster: Roster | None) -> Layout:
    if kind is Kind.BRATS:
        return brats_layout(files, roster)
    if kind is Kind.DECATHLON:
        return decathlon_layout(listed.files, files, roster)
    candidates = []
    for file in files:
        rows = roster.of_name(file.name) if roster else ()
        identity = rows[0].patient if rows else file.name
        modality = (rows[0].modality if rows else "") or UNDECLARED
        candidates.append(Candidate(identity=identity, scan=file.name, parts=(Part(modality, (file,)),)))
    return Layout(tuple(candidates))


def _names(kind: Kind, candidates: Sequence[Candidate]) -> list[str]:
    """A name inside the output folder for each: numbers for DICOM, whose own names are for machines.

    A zip may call its members anything: parts of a name that lead upwards are dropped, and what is too long is cut.
    """
    if kind is Kind.DICOM:
        return [f"series-{number:04d}" for number in range(1, len(candidates) + 1)]
    paths = [PurePosixPath(NIFTI_SUFFIX.sub("", candidate.scan).replace("\\", "/")) for candidate in candidates]
    names = ["/".join(part[:LONGEST_PART] for part in path.parts if part not in UPWARDS) for path in paths]
    often = Counter(name.casefold() for name in names)
    return [
        name if name and often[name.casefold()] == 1 else f"{name}-{number}"
        for number, name in enumerate(names, start=1)
    ]


def _name_of(files: Sequence[Source]) -> str:
    """One file by its name, several by the folder they share."""
    names = [PurePosixPath(file.name) for file in files]
    if len(names) == 1:
        return str(names[0])
    return str(names[0].parent) if len({name.parent for name in names}) == 1 else str(names[0])
