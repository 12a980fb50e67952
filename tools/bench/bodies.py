"""What is measured: requests and answers as they are in life, the same bytes in every run."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any, Final

_WORDS: Final = ("the", "model", "says", "that", "a", "token", "is", "about", "four", "letters", "and", "so", "on")


COUNT: Final = 8192
"""Pieces of a stream: so many that hardly any string of one is still there from the one before."""


def _word(random: Random) -> str:
    return "".join(random.choices("etaoinshrdlucmfwypvbgkjqxz", k=random.choice((2, 3, 4, 5, 8))))


def _text(random: Random, words: int) -> str:
    return " ".join(random.choice(_WORDS) for _ in range(words))


def chats() -> list[bytes]:
    """Short chats of 78 bytes."""
    random = Random(0)  # noqa: S311 - the same bytes in every run
    body = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%s"}]}'
    return [(body % _text(random, 9)[: 78 - len(body) + 2]).encode() for _ in range(COUNT)]


def escapes() -> list[bytes]:
    """About 194 KB of source code in a message: a backslash every few bytes."""
    random = Random(1)  # noqa: S311
    line = 'if (x == "a\\\\b") {\n\tprint("%s\\n");\n}\n'
    out = []
    for _ in range(8):
        code = "".join(line % _text(random, 3) for _ in range(4000))[:148_800]
        out.append(json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": code}]}).encode())
    return out


def images() -> list[bytes]:
    """4 MB: three pictures as base64."""
    random = Random(2)  # noqa: S311
    out = []
    for _ in range(4):
        pictures = [base64.b64encode(random.randbytes(1_000_000)).decode() for _ in range(3)]
        parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{one}"}} for one in pictures]
        out.append(json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": parts}]}).encode())
    return out


def deltas(*, forced: bool, stem: str = "chatcmpl-Bq7pXr2kLw9s") -> list[bytes]:
    """Chunks of a chat, about 200 bytes each, one event a piece."""
    random = Random(3)  # noqa: S311
    out = []
    for _ in range(COUNT):
        choice = {"index": 0, "delta": {"content": " " + _word(random)}, "logprobs": None, "finish_reason": None}
        chunk: dict[str, Any] = {
            "id": stem,
            "object": "chat.completion.chunk",
            "created": 1764000000,
            "model": "gpt-4o",
        }
        chunk["choices"] = [choice]
        if forced:
            chunk["usage"] = None
        out.append(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")
    return out


def strange_deltas() -> list[bytes]:
    """The same with an id of their own each: no two differ in the text alone."""
    return [
        piece.replace(b"Bq7pXr2k", b"%08x" % (n * 2654435761 % 2**32)) for n, piece in enumerate(deltas(forced=False))
    ]


def anthropic() -> list[bytes]:
    """Text deltas of Anthropic."""
    random = Random(4)  # noqa: S311
    head = "event: content_block_delta\ndata: "
    delta = head + '{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":" {}"}}}}\n\n'
    return [delta.format(_word(random)).encode() for _ in range(COUNT)]


def ollama() -> list[bytes]:
    """Lines of Ollama."""
    random = Random(5)  # noqa: S311
    head = '{{"model":"llama3.2","created_at":"2026-01-01T00:00:00.000000000Z",'
    line = head + '"message":{{"role":"assistant","content":" {}"}},"done":false}}\n'
    return [line.format(_word(random)).encode() for _ in range(COUNT)]


def bedrock() -> list[bytes]:
    """Messages of Bedrock; checksums are zero, nothing reads them."""
    random = Random(6)  # noqa: S311
    headers = b"\x0b:event-type\x07\x00\x11contentBlockDelta\x0d:content-type\x07\x00\x10application/json"
    out = []
    for _ in range(COUNT):
        delta = {"contentBlockIndex": 0, "delta": {"text": " " + _word(random)}, "p": "abcdefghijk"}
        payload = json.dumps(delta, separators=(",", ":")).encode()
        size = len(headers) + len(payload) + 16
        out.append(size.to_bytes(4) + len(headers).to_bytes(4) + bytes(4) + headers + payload + bytes(4))
    return out


def answer(kind: str) -> list[bytes]:
    """A JSON answer of about 64 KB in pieces of 16 KB: text, or embeddings as floats or as integers."""
    random = Random(7)  # noqa: S311
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    if kind == "text":
        message = {"role": "assistant", "content": _text(random, 12_000).replace("and so", 'and\n"so"')}
        body: dict[str, Any] = {"id": "x", "choices": [{"index": 0, "message": message}], "usage": usage}
    else:
        numbers = [
            random.randrange(100_000) if kind == "integers" else random.uniform(-1, 1)
            for _ in range(3000 if kind == "floats" else 9000)
        ]
        body = {"object": "list", "data": [{"index": 0, "embedding": numbers}], "usage": usage}
    whole = json.dumps(body).encode()
    return [whole[at : at + 16_384] for at in range(0, len(whole), 16_384)]
