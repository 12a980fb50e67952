"""What must come of a request: model, estimate, and the body that the upstream gets."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tests.filters.fuzz import forms, paths
from tests.filters.fuzz.answers import Expected
from tests.filters.fuzz.engine import Case, Outcome, header, metadata
from tests.filters.fuzz.numbers import Numbers
from tests.filters.fuzz.texts import BOM
from tests.filters.fuzz.tree import Member, last, loads, solid, whole

PROMPTS: Final = ("messages", "prompt", "input", "contents", "documents", "texts", "query")


class Api(NamedTuple):
    """How an API limits its answers: by fields, in an object that has one of these names; counts and prompts share it."""

    fields: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    least: int = 0
    sets: bool = True
    mute: bool = False
    batch: bool = False


_GEMINI: Final = Api(
    ("maxOutputTokens", "max_output_tokens"),
    ("generationConfig", "generation_config"),
    ("candidateCount", "candidate_count"),
)
_BEDROCK: Final = Api(("maxTokens",), ("inferenceConfig",))
_OLLAMA: Final = Api(("num_predict",), ("options",), least=1)
APIS: Final[Mapping[str, Api]] = {
    "/chat/completions": Api(("max_completion_tokens", "max_tokens"), counts=("n",), least=1),
    "/completions": Api(("max_tokens",), counts=("n", "best_of"), least=1, batch=True),
    "/responses": Api(("max_output_tokens",)),
    "/messages": Api(("max_tokens",)),
    "/v2/chat": Api(("max_tokens",)),
    ":generatecontent": _GEMINI,
    ":streamgeneratecontent": _GEMINI,
    "/converse": _BEDROCK,
    "/converse-stream": _BEDROCK,
    "/api/chat": _OLLAMA,
    "/api/generate": _OLLAMA,
    **dict.fromkeys(
        ("/embeddings", "/embed", ":embedcontent", "/rerank", "/count_tokens", ":counttokens"), Api(mute=True)
    ),
    **dict.fromkeys(("/audio/speech", "/audio/transcriptions", "/audio/translations"), Api()),
    "": Api(("max_tokens", "max_completion_tokens", "max_output_tokens"), counts=("n",), sets=False, batch=True),
}
"""By the end of the path; the first that fits counts."""


def judge(case: Case, outcome: Outcome) -> tuple[Expected, str]:
    """What must come of a request, and how the outcome differs."""
    expected = expect(case)
    if case.target == "form" and forms.doubtful(case.body):
        # What two parsers could read differently may have no model; a line that ends in CR alone, either one.
        alone = re.search(rb"\r(?!\n)", case.body)
        said = header(outcome)[0]
        if alone or said == paths.UNKNOWN:
            expected.metadata["model"] = said
    model = [expected.metadata["model"]]
    if header(outcome) != model:
        return expected, f"model header {header(outcome)}"
    if outcome.body != expected.body:
        return expected, "bytes"
    return expected, "" if metadata(outcome.metadata) == expected.metadata else "metadata"


def expect(case: Case) -> Expected:
    """What must come of a request; with what it has to hold, which the body says that goes on."""
    expected = _expect(case)
    for hold in case.context.get("holds", ()):
        prompt = int(expected.metadata.get("prompt_estimate", 0))
        answer = _longest(case, expected.body) if "unmetered" not in expected.metadata else 0
        hits = math.ceil((prompt * hold["prompt"] + min(answer, 1e9) * hold["completion"]) / hold["scale"])
        expected.metadata.update(dict.fromkeys((hold["paid"], hold["refund"]), str(min(max(1, hits), 10**9))))
    return expected


def _longest(case: Case, body: bytes) -> float:
    """How many tokens the answers together may have to a body that was read, or to any that was not."""
    most: int = case.context["maxTokens"]
    text, api = body.decode("latin-1"), _api(paths.read(dict(case.headers)[":path"])[0])
    start = None if _unread(case) else whole_after_bom(text)
    if start is None or not api.fields:
        return 0 if start is not None and api.mute else most
    outer = last(text, start)
    objects = [last(text, outer[name].value) for name in api.holders if name in outer] if api.holders else [outer]
    share = max(_share(text, one, api) for one in objects)
    each = max(1, most // share)
    if not api.sets:
        return share * each
    said = [[float(text[one[n].value : one[n].stop]) for n in api.fields if n in one] for one in objects]
    return share * max(max(values) if max(values) >= 1 else each for values in said)


def _unread(case: Case) -> bool:
    coding = dict(case.headers).get("content-encoding", "").strip().lower()
    return len(case.body) > case.context.get("bodyLimit", 4194304) or coding not in {"", "identity"}


def _expect(case: Case) -> Expected:
    headers, body = dict(case.headers), case.body
    out = {f"{name}_tokens": "0" for name in Numbers.__slots__} | {"no_cost": "0", "usage_source": "none"}
    if headers[":method"] != "POST":
        return Expected(body, out | {"model": paths.UNKNOWN, "unmetered": "true"})
    ends, in_path = paths.read(headers[":path"])
    if ends.endswith((b":counttokens", b"/messages/count_tokens")):
        out["unestimated"] = "true"
    unread = _unread(case)
    text = body.decode("latin-1")
    start = None if unread else whole_after_bom(text)
    model = paths.name(in_path)
    if in_path is None and not unread:
        model = _model(text, start, headers.get("content-type", ""), body)
    out |= {"model": model, "prompt_estimate": str(math.ceil(len(body) / 4))}
    if start is None:
        return Expected(body, out)
    outer = last(text, start)
    spans = [outer[one] for one in PROMPTS if one in outer]
    if spans:
        out["prompt_estimate"] = str(math.ceil((spans[0].stop - spans[0].value) / 4))
    changes: list[Change] = []
    if ends.endswith(b"/completions") and case.context.get("usage", {}).get("includeUsage") != "Keep":
        changes = _forced(text, start, outer)
        out |= {"forced_usage": "true"} if changes else {}
    if "maxTokens" in case.context:
        changes += _held(text, start, outer, _api(ends), case.context["maxTokens"])
    return Expected(_changed(text, changes).encode("latin-1"), out)


def whole_after_bom(text: str) -> int | None:
    """Where the object begins that is all of the body; a BOM may lead it."""
    bom = BOM.decode("latin-1")
    start = whole(text.removeprefix(bom))
    return None if start is None else start + (len(bom) if text.startswith(bom) else 0)


def _model(text: str, start: int | None, kind: str, body: bytes) -> str:
    member = last(text, start).get("model") if start is not None else None
    in_json = paths.UNKNOWN
    if member and text[member.value] == '"':
        in_json = paths.name(_string(text[member.value : member.stop]))
    values = None if kind == "application/json" else forms.models(kind, body)
    if not values:
        return in_json
    named = {paths.name(one) for one in values} | ({in_json} if start is not None else set())
    return named.pop() if len(set(values)) == len(named) == 1 else paths.UNKNOWN


def _string(raw: str) -> bytes | None:
    """The bytes that a JSON string stands for; none when they are no UTF-8 or half a surrogate pair is in it."""
    try:
        read: str = json.loads(raw.encode("latin-1").decode(), strict=False)
        return read.encode()
    except UnicodeError:
        return None


Change = tuple[int, int, str]


def _insert(text: str, at: int, member: str) -> Change:
    """A new first member of the object at ``at``."""
    return at + 1, at + 1, member + ("" if text[solid(text, at + 1)] == "}" else ",")


def _forced(text: str, start: int, outer: Mapping[str, Member]) -> list[Change]:
    """Asks for usage where a stream does not."""
    stream, options = outer.get("stream"), outer.get("stream_options")
    if not stream or text[stream.value : stream.stop] != "true" or outer.keys().isdisjoint(("messages", "prompt")):
        return []
    if not options:
        return [_insert(text, start, '"stream_options":{"include_usage":true}')]
    if text[options.value] == "n":
        return [(options.value, options.stop, '{"include_usage":true}')]
    if text[options.value] != "{":
        return []
    asked = last(text, options.value).get("include_usage")
    if not asked:
        return [_insert(text, options.value, '"include_usage":true')]
    said = text[asked.value : asked.stop]
    return [(asked.value, asked.stop, "true")] if said in {"false", "null"} else []


def _api(ends: bytes) -> Api:
    return next(api for end, api in APIS.items() if ends.endswith(end.encode()))


def _share(text: str, members_of: Mapping[str, Member], api: Api) -> int:
    counts = [1]
    for name in api.counts:
        member = members_of.get(name)
        said = text[member.value : member.stop].strip('"') if member else ""
        try:
            counts.append(math.ceil(min(float(said), 1e9)))
        except ValueError:
            continue
    return max(counts) * (_prompts(text, members_of.get("prompt")) if api.batch else 1)


def _prompts(text: str, member: Member | None) -> int:
    read = loads(text[member.value : member.stop]) if member else None
    return max(1, sum(isinstance(one, str | list | dict) for one in read)) if isinstance(read, list) else 1


def _held(text: str, start: int, outer: Mapping[str, Member], api: Api, most: int) -> list[Change]:
    """Holds the answer to ``most`` tokens."""
    if not api.holders:
        return _held_in(text, start, outer, api, max(1, most // _share(text, outer, api)))
    there = [outer[name] for name in api.holders if name in outer]
    inner = [last(text, one.value) for one in there]
    most = max(1, most // max([1, *(_share(text, one, api) for one in inner)]))
    fresh = f'{{"{api.fields[0]}":{most}}}'
    changes: list[Change] = [] if there else [_insert(text, start, f'"{api.holders[0]}":{fresh}')]
    for member, found in zip(there, inner, strict=True):
        if text[member.value] == "{":
            changes += _held_in(text, member.value, found, api, most)
        else:
            changes.append((member.value, member.stop, fresh))
    return changes


def _held_in(text: str, at: int, found: Mapping[str, Member], api: Api, most: int) -> list[Change]:
    there = [found[name] for name in api.fields if name in found]
    if not there:
        return [_insert(text, at, f'"{api.fields[0]}":{most}')] if api.fields and api.sets else []
    return [(one.value, one.stop, str(most)) for one in there if not _fits(text[one.value : one.stop], api.least, most)]


def _fits(raw: str, least: int, most: int) -> bool:
    try:
        return least <= float(raw) <= most and not raw.startswith(("N", "I"))
    except ValueError:
        return False


def _changed(text: str, changes: list[Change]) -> str:
    for start, stop, new in sorted(changes, key=lambda change: change[0])[::-1]:
        text = text[:start] + new + text[stop:]
    return text
