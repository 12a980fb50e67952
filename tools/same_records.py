"""Whether two stacks showed the same on every case: statuses, headers, bodies and counters.

``python -m tools.same_records A B`` compares what ``pytest e2e --stack NAME --record FILE`` wrote, and
exits with 1 when a case differs or stands in one of the files alone. ``make equality`` does both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

Records = Mapping[str, list[dict[str, Any]]]


def differences(one: Records, two: Records) -> Iterator[str]:
    """A line for each case that differs, with the first observation that does."""
    for case in sorted({*one, *two}):
        pairs = zip_longest(one.get(case, ()), two.get(case, ()))
        found = next(((n, a, b) for n, (a, b) in enumerate(pairs) if a != b), None)
        if found:
            number, a, b = found
            keys = sorted(k for k in {*(a or {}), *(b or {})} if (a or {}).get(k) != (b or {}).get(k))
            shown = "; ".join(f"{k}: {(a or {}).get(k)!r} against {(b or {}).get(k)!r}" for k in keys)
            yield f"{case}: observation {number}: {shown}"


def main() -> int:
    """Compare the two files of the command line; the exit code."""
    one, two = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3])
    found = list(differences(one, two))
    print("\n".join(found) or f"the same: {len(one)} cases, {sum(map(len, one.values()))} observations")
    return bool(found or not one)


if __name__ == "__main__":
    sys.exit(main())
