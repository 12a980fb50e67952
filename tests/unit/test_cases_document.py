"""``docs/cases.md``: every case of other gateways once, each with tests that exist or with a reason."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.slow  # to look whether tests exist, all are collected
ROOT: Final = Path(__file__).parent.parent.parent
ORIGINAL: Final = [
    "Quickstart",
    "BlockUnknown",
    "ModelNameDistinct",
    "HeaderMatchExact",
    "MultipleBackends",
    "MultipleLimits",
    "JWTClaim",
]
HIGHEST: Final = {"KU": 22, "W": 6, "AP": 24, "HI": 10, "WS": 31, "TZ": 16, "LL": 12, "AG": 9, "PX": 7, "NX": 7}
HIGHEST_OF_FEW: Final = {"HE": 3, "BF": 2, "KO": 1, "N": 25}
NEVER_GIVEN: Final = {"WS-14", "WS-16", "NX-05", "N-13", "N-16", "N-17", "N-19", "N-21"}
ROW: Final = re.compile(r"^\| ([A-Z][\w-]+) \| (.+) \| (.+) \|$", re.MULTILINE)
TEST: Final = re.compile(r"`([\w/]+\.py::[^`]+)`")
PARAMETER: Final = re.compile(r"::test_\w+\[(?:[a-z]+-)?([A-Z]+-\d\d)")


def rows() -> list[tuple[str, str]]:
    """Id and last cell of every case."""
    text = (ROOT / "docs" / "cases.md").read_text(encoding="utf-8")
    return [(case, last) for case, _, last in ROW.findall(text)]


def expected() -> set[str]:
    """The ids of all cases."""
    numbered = {f"{g}-{n:02}" for g, most in (HIGHEST | HIGHEST_OF_FEW).items() for n in range(1, most + 1)}
    return (numbered - NEVER_GIVEN) | set(ORIGINAL)


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """Ids of the tests in the files that the document names, with and without their parameters."""
    files = sorted({test.split("::")[0] for _, last in rows() for test in TEST.findall(last)})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    found = {line for line in done.stdout.splitlines() if "::" in line}
    return found | {line.split("[")[0] for line in found}


def test_every_case_is_there_once() -> None:
    """None is left out, none is invented."""
    ids = [case for case, _ in rows()]
    assert sorted(ids) == sorted(expected())


@pytest.mark.parametrize(("case", "last"), rows(), ids=[case for case, _ in rows()])
def test_each_has_tests_or_a_reason(collected: set[str], case: str, last: str) -> None:
    """Every test that is named exists; where there is none, a sentence says why."""
    tests = TEST.findall(last)
    assert [test for test in tests if test not in collected] == []
    assert bool(tests) != last.startswith("none: "), case


def test_tests_named_after_a_case_are_named_here(collected: set[str]) -> None:
    """A test with a case's id is in that case's row, it or a sibling of the same function."""
    named = dict(rows())
    strays = []
    for test in collected:
        if match := PARAMETER.search(test):
            function = test.split("[")[0]
            strays += [test] if function not in named.get(match[1], "") else []
    assert strays == []
