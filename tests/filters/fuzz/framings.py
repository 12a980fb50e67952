"""Random answers, framed: event streams, JSON lines, arrays, one object, and Bedrock's messages."""

from __future__ import annotations

import zlib
from random import Random
from typing import Final

from llmroute.render.lua import JSON
from tests.filters.fuzz.engine import Case
from tests.filters.fuzz.shapes import APIS, events, usage
from tests.filters.fuzz.texts import BOM, array, blank, members, mixed, mutated, noise, pieces

_ZERO: Final[tuple[str, ...]] = (
    *("total_tokens", "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "no_cost"),
)


def stream(random: Random) -> bytes:
    """Events as an event stream."""
    ending = random.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r"))
    out = [random.choice((b"", b"", b"", BOM, b"\n", b"event: x\n\n"))]
    # Most servers send each event as one line; only of such events anything is taken out.
    flat = random.random() < 0.6
    for text in events(random):
        said = text.replace(b"\n", b" ").replace(b"\r", b" ") if flat else text
        out += _framed(random, said, random.choice((b"\n", b"\r\n", b"\r")) if random.random() < 0.05 else ending)
    if random.random() < 0.5:
        out += (b"data: [DONE]", ending, ending)
    if random.random() < 0.3:
        out.pop()
    return b"".join(out)


def _framed(random: Random, text: bytes, ending: bytes) -> list[bytes]:
    out: list[bytes] = []
    if random.random() < 0.15:
        out += (random.choice((b": comment", b"event: message", b"id: 7", b"retry", b"data:", b"datax: {}")), ending)
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if random.random() < 0.05:
        at = random.randrange(len(text) + 1)
        lines = [*lines[:-1], lines[-1][:at], lines[-1][at:]]
    start = random.choice(
        (b"data: ", b"data: ", b"data:", b"data:  ", b"data:\t", b"Data: " if random.random() < 0.1 else b"data: ")
    )
    for line in lines:
        out += (start, line, ending)
    if random.random() < 0.05:
        out += (random.choice((b": in between", b"event: x", b"data", b"data: ")), ending)
    return [*out, ending]


def lines(random: Random) -> bytes:
    """Events as JSON lines, or as one array."""
    found = events(random)
    if random.random() < 0.5:
        return random.choice((b"", b"", BOM, b"\n ")) + random.choice((b"\n", b"\r\n", b"\n\n")).join(found)
    return array(random, found)


def document(random: Random) -> bytes:
    """A whole answer as one object."""
    pairs = random.choice(APIS)(random) + noise(random, 4)
    if random.random() < 0.6:
        pairs.append((random.choice((b"usage", b"usage", b"usage", b"usageMetadata", b"meta")), usage(random)))
    text = blank(random) + members(random, mixed(random, pairs)) + blank(random)
    text = BOM + text if random.random() < 0.03 else text
    return mutated(random, text) if random.random() < 0.15 else text


def messages(random: Random) -> bytes:
    """Events as Bedrock frames them."""
    out = []
    for text in events(random):
        headers = random.choice((b"", b":event-type {}", b'{"usage":{"total_tokens":9}}', b"\x00" * 9))
        body = b"" if random.random() < 0.03 else text[:8000]
        head = (len(headers) + len(body) + 16).to_bytes(4) + len(headers).to_bytes(4)
        message = head + zlib.crc32(head).to_bytes(4) + headers + body
        out.append(message + zlib.crc32(message).to_bytes(4))
    text = b"".join(out)
    kind = random.random()
    return text[: random.randrange(len(text))] if kind < 0.1 else mutated(random, text) if kind < 0.15 else text


def _shape(random: Random, target: str) -> tuple[bytes, bytes]:
    if target == "stream":
        odd = random.random() < 0.05
        body = stream(random)
        if odd:
            # What a wrong type calls no stream begins with a line that tells.
            return body.lstrip(BOM + b"\n\r"), random.choice((b"text/plain", b"", b"application/json"))
        return body, b"text/event-stream"
    if target == "document":
        odd = random.random() < 0.05
        return document(random), b"text/plain" if odd else b"application/json"
    if target == "lines":
        return lines(random), random.choice((b"application/x-ndjson", b"application/json", b"application/stream+json"))
    return messages(random), b"application/vnd.amazon.eventstream"


def answer(random: Random, target: str) -> Case:
    """One answer of the kind that ``target`` names: stream, document, lines or messages."""
    body, kind = _shape(random, target)
    headers = [(":status", "200")]
    if kind:
        spelt = kind.decode()
        headers.append(("content-type", random.choice((spelt, spelt, spelt + "; charset=utf-8", spelt.title()))))
    if random.random() < 0.02:
        headers.append(("content-encoding", random.choice(("gzip", "identity"))))
    known: dict[str, JSON] = dict.fromkeys(_ZERO, 0)
    known |= {"usage_source": "none", "model": "m", "prompt_estimate": random.randrange(50)}
    if random.random() < 0.6:
        known["forced_usage"] = True
    if random.random() < 0.05:
        known["unestimated"] = True
    cut = pieces(random, body)
    # An event over the cap is read in passing, so what it reports counts before it ends.
    watched = random.randrange(len(cut)) if len(body) < 20_000 else 0
    policy = random.randrange(4) if random.random() < 0.5 else 0
    return Case(target, "answer", cut, tuple(headers), known, policy, watched)
