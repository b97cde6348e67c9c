"""Numbers and names as a reader wants them."""

from __future__ import annotations

import math
from collections.abc import Sequence

ACRONYMS = {"aum": "AUM", "el2n": "EL2N", "ema": "EMA"}
NUMERALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NOTHING = "–"
MINUS = "\u2212"


def count(number: int) -> str:
    """Return a whole number with a thin space between thousands.

    Example:
        >>> count(50000) == "50\u202f000"
        True
    """
    return f"{number:,}".replace(",", "\u202f")


def counted(number: int, noun: str) -> str:
    """Return a count with its noun, in words up to ten.

    Example:
        >>> counted(3, "method"), counted(1, "run")
        ('three methods', 'one run')
    """
    word = NUMERALS[number] if number < len(NUMERALS) else count(number)
    return f"{word} {noun}{'' if number == 1 else 's'}"


def listing(items: Sequence[str]) -> str:
    """Join names as in a sentence.

    Example:
        >>> listing(["CE", "ELR", "DivideMix"])
        'CE, ELR and DivideMix'
    """
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def percent(fraction: float | None, digits: int = 1) -> str:
    r"""Return a fraction as per cent; a dash for ``None`` or NaN.

    Example:
        >>> percent(0.4006), percent(None)
        ('40.1\u202f%', '–')
    """
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    return f"{100 * fraction:.{digits}f}\u202f%"


def duration(seconds: float | None) -> str:
    """Return seconds in the unit that reads best.

    Example:
        >>> duration(3.21), duration(48.2), duration(600.0), duration(9000.0)
        ('3.2 s', '48 s', '10.0 min', '2.5 h')
    """
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def title(name: str) -> str:
    """Return a score's column name as a title.

    Example:
        >>> title("aum"), title("loss_ema"), title("wrong_events")
        ('AUM', 'Loss EMA', 'Wrong events')
    """
    words = " ".join(ACRONYMS.get(w, w) for w in name.split("_"))
    return words[:1].upper() + words[1:]


def sentence(text: str) -> str:
    """Return text with a capital at its start and a full stop at its end; nothing stays nothing.

    Example:
        >>> sentence("mean margin"), sentence("")
        ('Mean margin.', '')
    """
    return text[:1].upper() + text[1:] + ("" if not text or text[-1] in ".!?" else ".")
