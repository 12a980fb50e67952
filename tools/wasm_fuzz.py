"""``python -m tools.wasm_fuzz --seconds N [--cases N]``: the filter's C on this machine, under sanitizers.

AddressSanitizer and UndefinedBehaviorSanitizer watch all of it. First every seed runs once: the cases of
``tests/filters/fuzz``, and routes that have the filter call the rate limit service. Then libFuzzer makes up more of
them. Exit code 1 for a finding.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.service.ratelimit.v3 import rls_pb2

from tests.filters import prepaying, settling
from tests.filters.fuzz.engine import POLICIES, Case
from tests.filters.fuzz.run import batches

ROOT: Final = Path(__file__).resolve().parent.parent
WASM: Final = ROOT / "filters" / "wasm"
_FLAGS: Final = ("-g", "-O1", "-std=c11", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
_HAS_BODY, _ENDS, _GATED = 1, 16, 128
_LONGEST: Final = 65_535
"""Of a section, whose length has two bytes."""
_TOLD: Final = {"jwt": {"sub": "ada", "n": 1.5, "yes": True}}
_CALLING: Final[tuple[dict[str, Any], ...]] = (
    {"settle": settling.SETTLE},
    {"settle": {**settling.SETTLE, "rest": True}},
    {"settle": {**settling.SETTLE, "rest": True, "late": True}},
    {"prepay": prepaying.PREPAY, "limits": prepaying.TOLD, "costs": [prepaying.COST]},
    {
        "identity": "x-user-id",
        "metadata": [
            {"header": "x-user-id", "namespace": "jwt", "path": ["jwt", "sub"], "default": "nobody"},
            {"header": "x-n", "namespace": "jwt", "path": ["jwt", "n"]},
        ],
        "backendHeader": "x-ai-gateway-llm-backend",
        "backends": [{"name": "one", "models": ["m"]}, {"name": "two", "models": ["*"]}],
    },
)


def seeds(count: int) -> Iterator[bytes]:
    """The inputs of ``filters/wasm/fuzz/host.c`` for so many cases."""
    contexts: Sequence[dict[str, Any]] = (*POLICIES, *_CALLING)
    answered = _answer()
    for number, case in enumerate(case for cases in batches("wasm", count) for case in cases):
        # A case in four goes to a route that its author did not think of.
        context = contexts[number % len(contexts)] if number % 4 == 0 else POLICIES[case.policy]
        gated = number % 8 < 2  # of routes of either kind
        yield _seed(case, {**context, "gated": True} if gated else context, answered, gated=gated)


def _seed(case: Case, context: dict[str, Any], answered: bytes, *, gated: bool) -> bytes:
    asked, said = (case, None) if case.entry == "request" else (None, case)
    metadata = base_pb2.Metadata()
    metadata.filter_metadata["jwt"].update(_TOLD)
    configuration = json.dumps({"contexts": [{"context": {"version": 1, **context}}]}).encode()
    head = _lines(asked.headers) if asked else b":method: POST\n:path: /v1/chat/completions\nx-user-id: ada"
    body = asked.body if asked else b'{"model":"m","stream":true,"messages":["1"]}'
    reply = _lines(said.headers) if said else b":status: 200\ncontent-type: application/json"
    pieces = said.pieces if said else (b'{"usage":{"total_tokens":7}}',)
    flags = _HAS_BODY | _ENDS | (_GATED if gated else 0)
    sections = (configuration, metadata.SerializeToString(), head, body, answered, reply, *pieces)
    return bytes((flags,)) + b"".join(_section(each) for each in sections)


def _lines(headers: Sequence[tuple[str, str]]) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in headers).encode("utf-8", "surrogateescape")


def _section(content: bytes) -> bytes:
    content = content[:_LONGEST]
    return len(content).to_bytes(2, "little") + content


def _answer() -> bytes:
    """What the service says of two limits, with something left."""
    status = rls_pb2.RateLimitResponse.DescriptorStatus(code=1, limit_remaining=100)
    status.current_limit.requests_per_unit = 1000
    status.duration_until_reset.seconds = 5
    return settling.framed(rls_pb2.RateLimitResponse(overall_code=1, statuses=[status, status]))


def _clang() -> str:
    """A clang with libFuzzer, installed if need be; empty where there is none, which was said then."""
    done = subprocess.run([ROOT / "tools" / "clang.sh"], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip()


def main() -> int:
    """Build, run the seeds, hunt."""
    parser = argparse.ArgumentParser(prog="python -m tools.wasm_fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--cases", type=int, default=20_000)
    options = parser.parse_args()
    compiler = _clang()
    if not compiler:
        return 1
    with tempfile.TemporaryDirectory(prefix="llmroute-wasm-fuzz-") as name:
        folder = Path(name)
        program, corpus, found = folder / "fuzz", folder / "corpus", folder / "found"
        sources = [str(path) for path in (WASM / "fuzz" / "host.c", *sorted((WASM / "src").glob("*.c")))]
        if subprocess.run([compiler, *_FLAGS, "-o", str(program), *sources], check=False).returncode:
            print(
                f"{compiler} does not build the filter; it needs libFuzzer, of Debian's libclang-rt",
                file=sys.stderr,
            )
            return 1
        corpus.mkdir()
        found.mkdir()
        for number, seed in enumerate(seeds(options.cases)):
            (corpus / f"{number:06}").write_bytes(seed)
        quiet = ("-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={ROOT}/")
        begun = time.monotonic()
        limits = ("-runs=0",) if options.seconds == 0 else (f"-max_total_time={options.seconds}",)
        command = [str(program), *quiet, *limits, "-max_len=65536", "-timeout=20", "-rss_limit_mb=3000"]
        done = subprocess.run([*command, str(found), str(corpus)], capture_output=True, text=True, check=False)
        runs = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "0")
        if done.returncode:
            print(done.stderr[-6000:], file=sys.stderr)
            print("FOUND something: the input stands beside this repository's README", file=sys.stderr)
            return 1
        print(f"wasm-fuzz: {options.cases} seeds, {runs} runs without a finding in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
