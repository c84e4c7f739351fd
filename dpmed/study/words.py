"""What a page says of a study around its tables."""

from collections.abc import Sequence

from dpmed.study.result import StudyResult
from dpmed.study.verdict import ONE_SEED

HEAD = (
    "# Results\n\n"
    "Written by `dpmed study page` from what `dpmed study run` measured; no number here was typed.\n\n"
    "An epsilon is of one training: per patient, with all of the patient's scans, added or removed, by the PLD\n"
    "accountant, with patients drawn by Poisson sampling. It is no promise about the results below: those are of\n"
    "held-out patients, whom no guarantee covers, and come of many trainings.\n"
)
UNDER_FRONTIER = (
    "Of no privacy: what is lost against the same variant without privacy, and what share of it is left. "
    "CPU s: the median processor time of a training with its checks and judging.\n"
)
METRIC = {
    "covid-ct": "AUROC over patients: a patient's probability is the mean over slices, then over scans.",
    "brats": "Dice of patients who bear tumour: the mean over regions, then over scans, then over patients.",
}


def about(result: StudyResult) -> list[str]:
    """What was done, to whom, and what it may be taken for."""
    kind = "are positive" if result.task == "covid-ct" else "bear tumour"
    said = [result.summary] if result.summary else []
    said += [
        f"**Protocol.** {result.patients} patients, of whom {result.positives} {kind}, in {result.folds} folds by "
        f"patient{' and label' if result.task == 'covid-ct' else ''}; every patient is judged once per seed, by a "
        f"model trained on the other folds. {METRIC[result.task]} A number is the mean over folds, then over seeds. "
        "Intervals (95 %) are over patients and over trainings. A seed sets first weights and augmentation; who is "
        "drawn into a step, and the noise, are secret and new in every run, so the same command gives other numbers, "
        "within about these intervals.",
        f"**Privacy.** Delta is {result.delta:g}. {result.choice}",
    ]
    if result.public:
        said.append(f"**The data are public.** {result.public} {_cost(result)}")
    return [f"{text}\n" for text in said]


def under_gains(result: StudyResult) -> str:
    """How to read gains."""
    lone = (
        f" `{ONE_SEED}`: how much two trainings differ by chance cannot be told from one." if _has_lone(result) else ""
    )
    return (
        f"Gain: above `{result.base}`, patient by patient on the same folds. A variant helps or hurts where the "
        "interval leaves out 0. Each interval stands by itself: of twenty variants without any effect, one is expected "
        f"to leave out 0.{lone}\n"
    )


def effort(result: StudyResult) -> list[str]:
    """Time and hardware, and what is missing."""
    seconds = result.cpu_seconds
    time = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
    said = [
        f"**Time and hardware.** {result.cells} trainings, each with one core of the processor: {time} of processor "
        f"time in all; on {'; '.join(result.machines)} ({', '.join(result.devices)})."
    ]
    if result.missing:
        said.append(f"{result.missing} trainings of the study are not done; only seeds that are whole are counted.")
    said += [f"Failed: {one.key}: {one.reason}." for one in result.failed]
    return [f"{text}\n" for text in said]


def again(results: Sequence[StudyResult], page: str) -> str:
    """The commands that make the page."""
    runs = [f"dpmed study run {one.file} --data DATASET --out {one.name}" for one in results]
    names = " ".join(one.name for one in results)
    lines = "\n".join([*runs, f"dpmed study page {names} --to {page}"])
    return f"## Once more\n\n```sh\n{lines}\n```\n"


def _cost(result: StudyResult) -> str:
    if not result.private_cells:
        return ""
    spent = "an epsilon beyond 1,000" if result.cost is None else f"epsilon {result.cost:.1f}"
    others = ", and those without privacy without bound" if result.cells > result.private_cells else ""
    return (
        f"Had they been private, the study would have cost each patient: its {result.private_cells} private trainings "
        f"together {spent} at delta {result.delta:g} (by RDP){others}."
    )


def _has_lone(result: StudyResult) -> bool:
    return any(row.gain_seeds == 1 for row in result.rows)
