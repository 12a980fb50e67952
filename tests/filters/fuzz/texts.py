"""Random JSON texts, as bytes, with all that is odd in JSON; mutations of them; random cuts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

BLANKS: Final = (b"", b"", b"", b"", b"", b" ", b"\n", b"\t", b"\r\n", b"  \r \t")
NUMBERS: Final = (
    *(b"0", b"1", b"2", b"7", b"12", b"345", b"67890", b"999999999", b"1000000000", b"1000000001", b"3e9"),
    *(b"-0", b"-1", b"-0.0", b"-0.5", b"-1e-400", b"0.5", b"1.5", b"12.000", b"2e2", b"1E+2", b"15e-1", b"1e400"),
    *(b"123456789012345678901234567890", b"0e0", b"0.1E1", b"-7E2", b"NaN", b"Infinity", b"-Infinity"),
)
WORDS: Final = (b"true", b"false", b"null", b"[]", b"{}", b'""', b"[ ]", b"{ \n}")
PIECES: Final = (
    *(b"a", b"text", b" ", b"\\n", b"\\\\", b'\\"', b"\\/", b"\\t", b"\\u0041", b"\\u00e9", b"\\ud83d\\ude00"),
    *(b"\\ud83d", b"\\ude00", b"\\uD800\\u0041", b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"{", b"}", b"["),
    *(b"\\udbff\\udfff", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf"),
    *(b"]", b":", b",", b'\\"usage\\":', b"'", b"\\\\\\\\", b'\\\\\\"', b"\x7f", b"data: ", b"\\b\\f\\r", b"0", b"e"),
)
WILD: Final = (
    b"\x00",
    b"\x01",
    b"\n",
    b"\r",
    b"\x1f",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf5",
    b"\xe2\x82",
    b"\xe0\x9f\xbf",
)
"""What strict JSON has not in its strings, but Python's lenient reading has."""
KEYS: Final = (
    *(b"usage", b"model", b"id", b"choices", b"delta", b"type", b"done", b"message", b"response", b"candidates"),
    *(b"total_tokens", b"prompt_tokens", b"x", b"", b"usageMetadata", b"meta", b"stream", b"Usage", b"usag", b"input"),
    *(b"finish_reason", b"index", b"content", b"text", b"logprobs", b"tokens", b"model "),
)
BOM: Final = b"\xef\xbb\xbf"

_SPOILERS: Final = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b".", b"e", b"\\u", b" ", b"\n", b"\x00", b"x"),
    *(b"//", b"'", b"tru", b"nul", b"null", b"1", b"+", b"\x0b", b"\xa0", b"\xef\xbb\xbf", b"/**/", b"Nan", b"01"),
)


_SCALAR: Final = re.compile(rb"[:,\[]\s*([-\w.+]+)\s*[,}\]]")
_NO_SCALARS: Final = (
    *(b"01", b"00", b"-01", b"1.", b".5", b"-", b"+1", b"1e", b"1e+", b"1.e5", b"0x1", b"1 2", b"--1", b"1_0", b"-.5"),
    *(b"tru", b"truee", b"True", b"nul", b"NULL", b"nan", b"Infinit", b"-NaN", b"-Infinit", b"undefined", b"", b"'1'"),
    *(
        b'"\\x"',
        b'"\\u12"',
        b'"\\u12g4"',
        b'"\\u-123"',
        b'"\\u 12 "',
        b'"\\U0041"',
        b'"a" "b"',
        b"{1:2}",
        b"[1,]",
        b"{,}",
    ),
)
"""What looks like a value and is none."""


def blank(random: Random) -> bytes:
    """Mostly nothing."""
    return random.choice(BLANKS)


def escaped(random: Random, key: bytes) -> bytes:
    """A key, now and then with letters of it as escapes."""
    if random.random() > 0.06:
        return key
    share = random.choice((0.4, 0.4, 1))
    return b"".join(
        (b"\\u%04x" if random.random() < 0.5 else b"\\u%04X") % letter if random.random() < share else b"%c" % letter
        for letter in key
    )


def string(random: Random) -> bytes:
    """A JSON string with its quotes."""
    pieces = random.choices(PIECES, k=random.choice((0, 1, 1, 2, 3, 6)))
    if random.random() < 0.04:
        pieces.append(random.choice(WILD))
    return b'"' + b"".join(pieces) + b'"'


def number(random: Random) -> bytes:
    """A JSON number in any form; small whole ones most of all."""
    return b"%d" % random.randrange(2000) if random.random() < 0.5 else random.choice(NUMBERS)


def value(random: Random, depth: int = 3) -> bytes:
    """Any JSON value."""
    kind = random.random()
    if depth == 0 or kind < 0.55:
        return (string, number, word)[int(kind * 1000) % 3](random)
    inside = random.randrange(4)
    if kind < 0.57:
        # Far deeper than anything else.
        levels = random.choice((5, 40, 200))
        opening = [random.choice((b"[", b'{"usage":')) for _ in range(levels)]
        closing = [b"]" if one == b"[" else b"}" for one in reversed(opening)]
        return b"".join((*opening, b"1", *closing))
    if kind < 0.75:
        return array(random, [value(random, depth - 1) for _ in range(inside)])
    return members(random, [(random.choice(KEYS), value(random, depth - 1)) for _ in range(inside)])


def word(random: Random) -> bytes:
    """One of the shortest values."""
    return random.choice(WORDS)


def array(random: Random, values: Sequence[bytes]) -> bytes:
    """A list of values, with random blanks."""
    gap = blank(random)
    return b"[" + gap + (gap + b"," + blank(random)).join(values) + gap + b"]"


def members(random: Random, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """An object of these members in this order, with random blanks and escapes."""
    before, after = blank(random), blank(random)
    parts = [
        before + b'"' + escaped(random, key) + b'"' + after + b":" + blank(random) + text + after for key, text in pairs
    ]
    return b"{" + (b",".join(parts) or after) + b"}"


def noise(random: Random, most: int = 3) -> list[tuple[bytes, bytes]]:
    """Members that mean little, whatever their names say."""
    return [(random.choice(KEYS[10:]), value(random, 2)) for _ in range(random.randrange(most + 1))]


_PASSING: Final = frozenset((b"candidates", b"done", b"prompt_eval_count", b"eval_count"))


def mixed(random: Random, pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The members, mostly in another order, and now and then with one twice."""
    if random.random() < 0.7:
        random.shuffle(pairs)
    if pairs and random.random() < 0.1:
        key, _ = random.choice(pairs)
        # In passing, such a member counts when any of its values does.
        key = b"x" if key in _PASSING else key
        pairs.insert(random.randrange(len(pairs) + 1), (key, value(random, 1)))
    return pairs


def mutated(random: Random, text: bytes) -> bytes:
    """The text with a few faults: bits flipped, bytes lost, doubled, put in, cut off."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(text) + 1)
        to = min(len(text), at + random.choice((1, 1, 1, 2, 8)))
        text = random.choice(_FAULTS)(random, text, at, to)
    return text


def _flip(random: Random, text: bytes, at: int, to: int) -> bytes:
    return text[:at] + bytes(byte ^ (1 << random.randrange(8)) for byte in text[at:to][:1]) + text[at + 1 :]


def _lose(_: Random, text: bytes, at: int, to: int) -> bytes:
    return text[:at] + text[to:]


def _double(_: Random, text: bytes, at: int, to: int) -> bytes:
    return text[:to] + text[at:to] + text[to:]


def _put_in(random: Random, text: bytes, at: int, _: int) -> bytes:
    return text[:at] + random.choice(_SPOILERS) + text[at:]


def _cut_off(random: Random, text: bytes, at: int, _: int) -> bytes:
    return text[:at] if random.random() < 0.3 else text[: max(0, len(text) - random.randrange(4))]


def _bracket(random: Random, text: bytes, at: int, _: int) -> bytes:
    place = next((n for n in (*range(at, len(text)), *range(at)) if text[n] in b"{}[]"), None)
    return text if place is None else text[:place] + random.choice((b"{", b"}", b"[", b"]")) + text[place + 1 :]


def _misspell(random: Random, text: bytes, at: int, _: int) -> bytes:
    found = _SCALAR.search(text, at) or _SCALAR.search(text)
    return text[: found.start(1)] + random.choice(_NO_SCALARS) + text[found.end(1) :] if found else text


_FAULTS: Final[tuple[Callable[[Random, bytes, int, int], bytes], ...]] = (
    *(_flip, _lose, _double, _put_in, _cut_off, _bracket, _misspell),
)


def pieces(random: Random, body: bytes) -> tuple[bytes, ...]:
    """The body as it may arrive: whole, in two, in many, byte by byte; empty pieces among them."""
    kind = random.random()
    if kind < 0.1 or not body:
        return (body,)
    if kind < 0.2 and len(body) < 400:
        return tuple(body[at : at + 1] for at in range(len(body)))
    count = random.choice((1, 1, 2, 3, 8))
    ends = [at + 1 for at in range(len(body)) if body[at] == 13] if kind < 0.3 else []
    cuts = (
        sorted(random.sample(ends, min(len(ends), random.choice((2 * count, len(ends))))))
        if ends
        else sorted(random.randrange(len(body) + 1) for _ in range(count))
    )
    return tuple(body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True))
