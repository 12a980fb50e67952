"""Plain scalars are read as Kubernetes reads them."""

from __future__ import annotations

import pytest

from llmroute.render.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("y", True),
        ("on", True),
        ("Off", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("1e3", 1000.0),
        ("0o17", 15),
        ("017", 15),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("-12", -12),
        ("+3", 3),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("2024-01-01", "2024-01-01"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("yes!", "yes!"),
        ("089", 89),
    ],
)
def test_plain_scalar(text: str, value: object) -> None:
    """Booleans, numbers and nulls of the Kubernetes tools' YAML; anything else is the text."""
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)
