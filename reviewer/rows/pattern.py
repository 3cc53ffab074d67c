"""Generates strings that a regular expression matches, for CHECK constraints such as `code ~ '^[A-Z]{3}-[0-9]+$'`."""

from __future__ import annotations

from msgspec import Struct

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = "0123456789"
_WORD = _LOWER + _DIGITS + _UPPER + "_"
_ANY = _LOWER + _DIGITS
_ESCAPES = {"d": _DIGITS, "w": _WORD, "s": " ", "D": _LOWER, "W": "-", "S": _LOWER, "n": "\n", "t": "\t", "r": "\r"}
_CLASSES = {
    "alpha": _LOWER + _UPPER,
    "digit": _DIGITS,
    "alnum": _LOWER + _DIGITS + _UPPER,
    "lower": _LOWER,
    "upper": _UPPER,
    "space": " ",
    "punct": "-.,",
    "xdigit": _DIGITS + "abcdef",
    "word": _WORD,
}


class Unreadable(ValueError):
    """Something in the expression is not supported here, such as a lookahead."""


def samples(pattern: str, number: int) -> tuple[str, ...]:
    """Return `number` strings that `pattern` should match, as different as it allows.

    Reads the part of PostgreSQL's syntax that CHECK constraints use. The strings are only candidates: the server
    checks them. Raises `Unreadable`.
    """
    reader = _Reader(pattern)
    parts = reader.alternatives()
    if reader.rest:
        raise Unreadable(pattern)
    return tuple(_Writer(row).write(parts) for row in range(number))


class _Chars(Struct, frozen=True):
    letters: str


class _Group(Struct, frozen=True):
    choices: tuple[tuple[_Repeat, ...], ...]


class _Repeat(Struct, frozen=True):
    what: _Chars | _Group
    least: int
    most: int | None


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.rest = pattern

    def alternatives(self) -> _Group:
        choices = [self._sequence()]
        while self._take("|"):
            choices.append(self._sequence())
        return _Group(tuple(choices))

    def _sequence(self) -> tuple[_Repeat, ...]:
        parts: list[_Repeat] = []
        while self.rest and self.rest[0] not in "|)":
            part = self._part()
            if part is not None:
                parts.append(self._repeated(part))
        return tuple(parts)

    def _part(self) -> _Chars | _Group | None:
        letter, self.rest = self.rest[0], self.rest[1:]
        match letter:
            case "^" | "$":
                return None
            case "(":
                if self.rest.startswith("?"):
                    if not self.rest.startswith("?:"):
                        raise Unreadable(self.rest)
                    self.rest = self.rest[2:]
                group = self.alternatives()
                if not self._take(")"):
                    raise Unreadable(self.rest)
                return group
            case "[":
                return _Chars(self._bracket())
            case ".":
                return _Chars(_ANY)
            case "\\":
                return self._escape()
            case _:
                return _Chars(letter)

    def _escape(self) -> _Chars | None:
        if not self.rest:
            raise Unreadable("\\")
        letter, self.rest = self.rest[0], self.rest[1:]
        if letter in "AZmMyYbB<>":
            return None
        if letter.isalnum() and letter not in _ESCAPES:
            raise Unreadable(letter)
        return _Chars(_ESCAPES.get(letter, letter))

    def _bracket(self) -> str:
        inverted = self._take("^")
        letters = ""
        first = True
        while first or not self.rest.startswith("]"):
            if not self.rest:
                raise Unreadable("[")
            if self.rest.startswith("[:"):
                name, _, self.rest = self.rest[2:].partition(":]")
                letters += _CLASSES.get(name, "")
            elif self.rest[0] == "\\" and len(self.rest) > 1:
                letters += _ESCAPES.get(self.rest[1], self.rest[1])
                self.rest = self.rest[2:]
            elif len(self.rest) > 2 and self.rest[1] == "-" and self.rest[2] != "]":
                low, high = ord(self.rest[0]), ord(self.rest[2])
                letters += "".join(chr(n) for n in range(low, min(high, low + 200) + 1))
                self.rest = self.rest[3:]
            else:
                letters += self.rest[0]
                self.rest = self.rest[1:]
            first = False
        self.rest = self.rest[1:]
        if inverted:
            letters = "".join(letter for letter in _WORD + "- .@" if letter not in letters)
        if not letters:
            raise Unreadable("[]")
        return "".join(dict.fromkeys(letters))

    def _repeated(self, part: _Chars | _Group) -> _Repeat:
        found: tuple[int, int | None] = (1, 1)
        if self._take("*"):
            found = (0, None)
        elif self._take("+"):
            found = (1, None)
        elif self._take("?"):
            found = (0, 1)
        elif self.rest[:1] == "{" and self.rest[1:2].isdigit():
            inside, _, self.rest = self.rest[1:].partition("}")
            low, comma, high = inside.partition(",")
            found = (int(low), int(high) if high else None if comma else int(low))
        self._take("?")
        return _Repeat(part, *found)

    def _take(self, letter: str) -> bool:
        if self.rest.startswith(letter):
            self.rest = self.rest[len(letter) :]
            return True
        return False


class _Writer:
    """Writes one string. The row's number is spread over the variable positions, like the digits of a counter."""

    def __init__(self, row: int) -> None:
        self._left = row

    def write(self, group: _Group) -> str:
        choice = group.choices[self._pick(len(group.choices)) if len(group.choices) > 1 else 0]
        return "".join(self._repeat(each) for each in choice)

    def _repeat(self, each: _Repeat) -> str:
        wanted = 6 if each.most is None else min(each.most, max(each.least, 3))
        times = max(each.least, wanted)
        if isinstance(each.what, _Group) and each.most != each.least:
            times = max(each.least, 1)
        if isinstance(each.what, _Group):
            return "".join(self.write(each.what) for _ in range(times))
        letters = each.what.letters
        return "".join(letters[self._pick(len(letters))] for _ in range(times))

    def _pick(self, among: int) -> int:
        self._left, found = divmod(self._left, among)
        return found
