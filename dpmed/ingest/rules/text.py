"""Free text, word by word: what the vocabulary of imaging knows stays, everything else goes.

No list of names can be complete, so names are not looked for: words that are no imaging words are dropped, whoever
they mean. What is a word of imaging and also a name (Long, Brown) is dropped where this patient's header says so.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

DATE_LIKE = re.compile(r"(?<!\d)\d{1,4}([./\-:])\d{1,2}\1\d{1,4}(?!\d)")
MONTH = r"(?:jan|feb|m[aä]r|apr|ma[yi]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zé]*"
DATE_IN_WORDS = re.compile(
    rf"(?<!\w)(?:\d{{1,2}}\W{{0,2}}{MONTH}\W{{0,3}}\d{{0,4}}|{MONTH}\W{{1,3}}\d{{1,4}}\W{{0,3}}\d{{0,4}})(?!\w)",
    re.IGNORECASE,
)
DIGIT_RUN = re.compile(r"\d(?:[ ().+\-]{0,2}\d)*")
AGE = re.compile(
    r"(?<!\w)(?:[mfw]\s*/?\s*)?\d{1,3}[\s\-]*(?:yo|y/o|yrs?|y|years?|j|jahre|jaar|ans|a[nñ]os|anni|anos)(?:[\s\-]*old)?(?!\w)"
    r"|(?<!\w)[mfw]\s*/\s*\d{1,3}(?!\d)|(?<!\w)[mfw]\s*(?:9\d|1[01]\d)(?!\w)",
    re.IGNORECASE,
)
YEAR = re.compile(r"(?<!\d)(?:18|19|20)\d\d(?!\d)")
MOST_DIGITS = 4
"""Of a run of numbers with only spaces, dots or dashes between: dates, telephone and record numbers are longer."""
UNITS = frozenset({"mm", "cm", "ml", "kv", "kvp", "kev", "ma", "mas", "ms", "hz", "mhz", "mg", "hu", "deg", "s", "bpm"})
OLD, OLDEST = 90, 120
"""Years of age that Safe Harbor does not let stand."""
MOST_PIECES = 3
"""Of one word: T2w, B30f, 3D, 5mm. What mixes more letters and digits is a code of somebody's."""
LEAST_TELLING = 4
"""Letters below which a code of the standard tells nobody: CT, MR, SE, RGB."""
MOST_TEXTS = 10_000
CHUNK = re.compile(r"[^\W_]+(?:\.\d+)?|.", re.DOTALL)
PIECES = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
JOINERS = frozenset(" -_/+,.:;()[]&*%<>=")


@dataclass(frozen=True, eq=False)
class Cleaner:
    """Cleans descriptions and codes by a fixed set of words and terms."""

    words: Set[str]
    terms: Set[str]
    _known: dict[tuple[str, Set[str]], str] = field(default_factory=dict, repr=False)

    def text(self, text: str, banned: Set[str] = frozenset()) -> str:
        """The text without dates, long numbers, unknown words, and words in `banned` (of this patient's header).

        What was cleaned is remembered: the files of a series repeat each other.
        """
        if (text, banned) not in self._known:
            if len(self._known) >= MOST_TEXTS:
                self._known.clear()
            self._known[text, banned] = self._cleaned(text, banned)
        return self._known[text, banned]

    def _cleaned(self, text: str, banned: Set[str]) -> str:
        for pattern in (DATE_LIKE, DATE_IN_WORDS, AGE, YEAR):
            text = pattern.sub(" ", text)
        text = DIGIT_RUN.sub(_unless_long, text)
        chunks = CHUNK.findall(text)
        lonely = _lonely_numbers(chunks)
        kept = [
            chunk if self._stays(chunk, banned) and (number in lonely or not _is_number(chunk)) else " "
            for number, chunk in enumerate(chunks)
        ]
        return " ".join("".join(kept).split()).strip(" -_/+,.:;&*=<")

    def code(self, value: str, banned: Set[str] = frozenset()) -> bool:
        """Whether a coded string (CS) is a term of the standard, or made of words of imaging alone.

        The shortest terms stay whoever is called so, for an object is nothing without them: Mr Se has MR scans too.
        """
        if value in self.terms and len(value) < LEAST_TELLING:
            return True
        if value.casefold() in banned:
            return False
        return value in self.terms or (self.text(value, banned) == value.strip() and len(value) <= 16)

    def knows(self, word: str) -> bool:
        """Whether a word, in lower case, would pass."""
        return word in self.words or word.upper() in self.terms

    def _stays(self, chunk: str, banned: Set[str]) -> bool:
        if not chunk[0].isalnum():
            return chunk in JOINERS
        word = chunk.casefold()
        if word in banned:
            return False
        if word in self.words:
            return True
        pieces = PIECES.findall(word)
        return len(pieces) <= MOST_PIECES and all(self._is_plain(piece, banned) for piece in pieces)

    def _is_plain(self, piece: str, banned: Set[str]) -> bool:
        """A short number, a single letter, or a word of imaging."""
        if piece[0].isdecimal():
            return sum(map(str.isdecimal, piece)) <= MOST_DIGITS
        return (len(piece) == 1 or piece in self.words) and piece not in banned


def _is_number(chunk: str) -> bool:
    return chunk[0].isdecimal() and chunk.replace(".", "").isdecimal()


def _lonely_numbers(chunks: Sequence[str]) -> set[int]:
    """Places of numbers that stand between words: two in a row may be a day and a month, and 90 to 119 an age."""
    places = [place for place, chunk in enumerate(chunks) if chunk[0].isalnum()]
    words = ["", *(chunks[place] for place in places), ""]
    lonely = set()
    for place, before, chunk, after in zip(places, words, words[1:], words[2:], strict=False):
        if not _is_number(chunk) or any(other and _is_number(other) for other in (before, after)):
            continue
        if after.casefold() in UNITS or not OLD <= float(chunk) < OLDEST:
            lonely.add(place)
    return lonely


def _unless_long(match: re.Match[str]) -> str:
    digits = sum(map(str.isdigit, match[0]))
    return match[0] if digits <= MOST_DIGITS else " "
