"""Marks an output folder against the answer key."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from .key import Action, Check, answer_key
from .pairing import Content, Pair, mapping
from .planting import Canaries, Planted
from .search import Search

KEEPING = frozenset(
    {
        Action.TAG_RETAINED,
        Action.TEXT_NOTNULL,
        Action.TEXT_RETAINED,
        Action.UID_CONSISTENT,
        Action.PATID_CONSISTENT,
        Action.PIXELS_RETAINED,
    }
)


@dataclass(frozen=True)
class Score:
    """How many checks of each action passed, and which did not."""

    asked: Counter[Action] = field(default_factory=Counter)
    failed: tuple[Check, ...] = ()

    @property
    def overall(self) -> float:
        """Per cent of all checks passed."""
        return 100 * (1 - len(self.failed) / max(self.asked.total(), 1))

    @cached_property
    def per_action(self) -> dict[Action, float]:
        """Per cent of the checks of each action passed."""
        lost = Counter(check.action for check in self.failed)
        return {action: 100 * (1 - lost[action] / asked) for action, asked in self.asked.items()}

    @property
    def identifying(self) -> list[Check]:
        """Failed checks about an identifier of Safe Harbor."""
        return [check for check in self.failed if check.category.startswith("HIPAA")]


def score(pairs: list[Pair], canaries: Canaries, allowed: frozenset[str] = frozenset(), *, ocr: bool = True) -> Score:
    """Marks every instance. Without text recognition nobody can be asked to hide burned-in lines."""
    search, uids, patients = Search(canaries, allowed), mapping(pairs), _patients(pairs)
    asked: Counter[Action] = Counter()
    failed = []
    for pair in pairs:
        found = search.inside(pair.after.bytes) if pair.after else set()
        for check in answer_key(pair, canaries):
            if check.action is Action.PIXELS_HIDDEN and not ocr:
                continue
            asked[check.action] += 1
            if not _passes(check, pair, found, uids, patients):
                failed.append(check)
    return Score(asked, tuple(failed))


def _patients(pairs: list[Pair]) -> dict[str, str]:
    """What each PatientID became, by the first output of the patient; none where two patients became one."""
    became: dict[str, str] = {}
    for pair in pairs:
        if pair.after is not None:
            became.setdefault(pair.instance.patient, pair.after.values.get("PatientID", ""))
    shared = Counter(became.values())
    return {old: new for old, new in became.items() if shared[new] == 1 and new}


def _passes(check: Check, pair: Pair, found: set[Planted], uids: dict[str, str], patients: dict[str, str]) -> bool:
    if pair.after is None:
        return check.action not in KEEPING
    if check.planted is not None:
        return check.planted not in found
    if check.action is Action.PATID_CONSISTENT:
        return pair.after.values.get("PatientID") == patients.get(check.value)
    if check.action is Action.UID_CONSISTENT:
        return pair.after.values.get(check.place) == uids.get(check.value)
    if check.action in (Action.PIXELS_RETAINED, Action.PIXELS_HIDDEN):
        return _pixels(check.action, pair.before, pair.after)
    return _value(check, pair.after.values)


def _value(check: Check, after: dict[str, str]) -> bool:
    value = after.get(check.place)
    if check.action is Action.TAG_RETAINED:
        return value is not None
    if check.action is Action.TAG_REMOVED:
        return value is None
    if check.action is Action.TEXT_NOTNULL:
        return bool(value)
    if check.action is Action.TEXT_REMOVED:
        return check.value not in (value or "")
    return set(check.value.upper().split()) <= set((value or "").upper().split())


CORNER = (slice(4, 56), slice(4, 220))
"""Where `burned_in` draws its lines."""


def _pixels(action: Action, before: Content, after: Content) -> bool:
    old, new = before.pixels, after.pixels
    if old is None or new is None:
        return False
    if action is Action.PIXELS_RETAINED:
        return old.shape == new.shape and bool((old == new).all())
    frame = new[0] if new.ndim == 4 else new
    return int(frame[CORNER].max()) < 200  # the lines were white on a dim ground
