"""Invented values that nobody bears: words, numbers, days, UIDs and foreign names, each handed out once.

Every word begins with a pair of letters that no language, tag name or vocabulary has, so that one regular expression
finds all of them in any output at the speed of a scan (see `search`). What is under test knows nothing of it.
"""

import datetime
import random
import re

CONSONANTS, VOWELS = "bdfghklmnprstv", "aeiou"
MARKS = ("zq", "qx", "jx", "vq")
WORD = re.compile(rf"(?:{'|'.join(MARKS)})(?:[{CONSONANTS}][{VOWELS}]){{3}}[{CONSONANTS}]")
UID_ROOTS = ("1.3.6.1.4.1.58271", "1.2.840.113619.58271", "1.2.276.0.7230010.3.58271", "1.3.12.2.1107.5.2.58271")
"""Invented branches below real makers' roots: what stands below them in an output is an original."""

SCRIPTS = {
    "kanji": "山川田中村木林森石橋藤原井上野島崎松竹梅桜鈴佐渡辺斎長谷部熊鹿鳥羽根岸浜沢池津波岡坂倉",
    "katakana": "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワ",
    "hanzi": "欧阳诸葛令狐慕容端木钟离淳于单濮阳赫连皇甫尉迟澹台公冶宗政申屠轩辕夏侯闾丘",
    "hangul": "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허고노도로모보소오조초코토포호",
    "cyrillic": "БВГДЖЗИКЛМНПРСТФХЦЧШЩЭЮЯ",
    "latin": "ÀÂÄÇÈÉÊËÎÏÔÖÙÛÜÑØÅÆßþ",
    "greek": "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθ",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
}

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
SPELLINGS = (
    "{y:04}-{m:02}-{d:02}",
    "{d:02}.{m:02}.{y:04}",
    "{m:02}/{d:02}/{y:04}",
    "{d} {month} {y}",
    "{month} {d}, {y}",
    "{d:02}-{mon}-{y}",
    "{mon}/{d:02}/{y}",
    "{y}/{m:02}/{d:02}",
    "{y:04}{m:02}{d:02}",
    "{d:02}{mon}{y}",
    "{y}. {m:02}. {d:02}",
    "{d}. {m}. {y}",
    "{month} {d}{nth} {y}",
    "{d:02}-{m:02}-{y:04}",
    "{d:02} {m:02} {y:04}",
    "{month} {y}",
    "{y:04}-{m:02}",
    "{d} {mon}",
    "{d:02}/{m:02}",
)


AGES = ("{}-year-old", "{} year", "{}Y", "0{}Y", "aged {}", "{} yo", "F/{}", "{}J.")
"""Of people past 89, as they are written."""

JAPANESE = "{y}年{m}月{d}日"


def nth(day: int) -> str:
    """The ending of an English ordinal."""
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def spelled(day: datetime.date, style: int | str) -> str:
    """A day in one of the spellings that people write into comments, by number or as given."""
    month = MONTHS[day.month - 1]
    parts = {"y": day.year, "m": day.month, "d": day.day, "month": month, "mon": month[:3].upper(), "nth": nth(day.day)}
    return (style if isinstance(style, str) else SPELLINGS[style % len(SPELLINGS)]).format(**parts)


class Inventor:
    """Hands out values under a seed; never the same twice."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._used: set[str] = set()
        self._spelled: set[str] = set()

    def word(self) -> str:
        """Nine letters, capitalised."""
        return self._fresh(self._word)

    def number(self, digits: int = 9) -> str:
        """So many digits, the first not zero."""
        return self._fresh(lambda: str(self.random.randrange(10 ** (digits - 1), 10**digits)))

    def uid(self) -> str:
        """A UID below one of the invented branches."""
        parts = (self.random.randrange(10**5, 10**9) for _ in range(3))
        return self._fresh(lambda: ".".join([self.random.choice(UID_ROOTS), *map(str, parts)]))

    def script(self, name: str, length: int = 4) -> str:
        """A name in another script."""
        letters = SCRIPTS[name]
        return self._fresh(lambda: "".join(self.random.choice(letters) for _ in range(length)))

    def day(self, first: int, last: int) -> datetime.date:
        """A day from the first year to the last."""
        span = (datetime.date(last, 12, 31) - (start := datetime.date(first, 1, 1))).days
        draw = lambda: (start + datetime.timedelta(days=self.random.randrange(span))).isoformat()  # noqa: E731
        return datetime.date.fromisoformat(self._fresh(draw))

    def spelled_day(self, first: int, last: int, style: int | str) -> tuple[datetime.date, str]:
        """A day and its spelling, neither of them seen before."""
        while (text := spelled(day := self.day(first, last), style)) in self._spelled:
            pass
        self._spelled.add(text)
        return day, text

    def age(self) -> int:
        """Past 90, which is what all past 89 become."""
        return int(self._fresh(lambda: str(self.random.randrange(91, 120))))

    def _word(self) -> str:
        pick = self.random.choice
        return (pick(MARKS) + "".join(pick(CONSONANTS) + pick(VOWELS) for _ in range(3)) + pick(CONSONANTS)).title()

    def _fresh(self, draw) -> str:
        while (value := draw()) in self._used:
            pass
        self._used.add(value)
        return value
