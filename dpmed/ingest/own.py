"""Words that reports and manifests hold of themselves: a search finds them, and they identify nobody."""

from typing import get_args

from dpmed.ingest.cures import CURES, LOOK
from dpmed.ingest.hipaa import CLASSES
from dpmed.ingest.identifiers import PRIVATE, UNKNOWN, table
from dpmed.ingest.linkage import Anonymity, Step, anonymity
from dpmed.ingest.page import as_html
from dpmed.ingest.pixels.inspect import Outcome, Policy
from dpmed.ingest.reasons import Reason
from dpmed.ingest.report import (
    KEPT_ATTRIBUTES,
    KEPT_FROM_DICOM,
    KEPT_FROM_NIFTI,
    KEPT_FROM_PICTURES,
    HeldLine,
    ScrubReport,
    dates_in_manifest,
    dates_in_objects,
    limits,
    rules,
)
from dpmed.ingest.rules.profile import Attribute, load_profile, shipped_profiles
from dpmed.ingest.verify import Searched

HELD = "file case series of entries of the DICOMDIR"
ALL = {outcome.value: 1 for outcome in Outcome}
"""Every outcome of looking into pixels, for a specimen of the report."""


def own_words() -> bytes:
    """All text that reports and manifests hold of themselves: words in it, found again, identify nobody."""
    step = Step(what="dropped in 20 years", k=1, unique=1)
    linkage = Anonymity(
        patients=3, k=1, groups=2, unique=1, below_5=1, below_11=1, labels=2, l_distinct=1, label_follows=1,
        columns=dict.fromkeys(get_args(Attribute), 2), steps=(step,),
    )  # fmt: skip
    specimen = ScrubReport(
        images_out=1,
        manifest_sha256="0",
        rules=rules(),
        kept=KEPT_FROM_DICOM | KEPT_FROM_NIFTI | KEPT_FROM_PICTURES | KEPT_ATTRIBUTES,
        identifiers_removed=dict.fromkeys({*table().values(), *CLASSES, PRIVATE, UNKNOWN}, 1),
        linkage=linkage,
        generalised=("everything dropped: too few patients",),
        searched=Searched(files=1, pictures_read=1),
        verified=True,
        pixel_policy=" ".join(Policy),
        pixels=ALL,
        quarantine=tuple(HeldLine(what=HELD, short="", files=1, reason=reason.value) for reason in Reason),
        limits=(
            *limits(pixel_policy="", pixels=None, faces=None),
            *limits(pixel_policy="ignore", pixels=ALL, faces=ALL),
        ),
    )
    texts = [*CURES.values(), LOOK]
    texts += [dates_in_objects(load_profile(name)) for name in shipped_profiles()]
    texts += [dates_in_manifest(counted=counted) for counted in (True, False)]
    helped = linkage.model_copy(update={"k": 2, "steps": (step.model_copy(update={"k": 3}),)})
    variants = (
        specimen,
        specimen.model_copy(update={"linkage": helped, "generalised": ()}),
        specimen.model_copy(update={"linkage": anonymity([]), "quarantine": (), "crosswalk": True}),
        ScrubReport(),
    )
    pages = (as_html(each) for each in variants)
    return " ".join((specimen.to_json(), *pages, *texts)).encode()
