"""The eighteen identifiers of HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i), beside the classes that ingest counts."""

EIGHTEEN = {
    "A": "names",
    "B": "places smaller than a state",
    "C": "dates but the year, ages over 89",
    "D": "telephone numbers",
    "E": "fax numbers",
    "F": "e-mail addresses",
    "G": "social security numbers",
    "H": "medical record numbers",
    "I": "health plan numbers",
    "J": "account numbers",
    "K": "certificate and licence numbers",
    "L": "vehicle identifiers",
    "M": "device identifiers and serial numbers",
    "N": "URLs",
    "O": "IP addresses",
    "P": "biometric identifiers",
    "Q": "full-face photographs and the like",
    "R": "any other unique number or code",
}
CLASSES = {
    "names": "A",
    "dates": "C",
    "ids": "GHIJKR",
    "uids": "R",
    "addresses": "B",
    "contacts": "DEFN",
    "institutions": "B",
    "devices": "MO",
    "demographics": "C",
    "file names": "AHR",
    "embedded data": "QR",
}
"""Where a class of identifiers stands among the eighteen. What is missing here is text or data that may hold any."""


def letters(kind: str) -> str:
    """Which of the eighteen a class can hold."""
    return ", ".join(CLASSES.get(kind, "")) or "any"
