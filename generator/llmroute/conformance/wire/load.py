"""Reads the fixture files, strictly: an unknown key, a missing one or an id that is used twice is an error.

A file says ``about``, ``path``, ``request``, ``model`` (each the default of its fixtures), ``shared`` (a place for
YAML anchors) and ``fixtures``. A fixture says ``id``, ``title``, ``covers``, ``path``, ``request`` (JSON) or
``content`` (text), ``headers``, ``answer`` and ``client`` (bodies, as ``body`` has them), ``model`` and ``expect``.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

from llmroute.conformance.wire import body
from llmroute.conformance.wire.fixture import CONTENT_TYPE, Fixture, Numbers, compact
from llmroute.conformance.wire.shape import Place, WireError, document

__all__ = ["WireError", "load", "parse"]

_SOURCES = ("reported", "estimated", "fixed", "none")
_DEFAULTS = ("path", "request", "model")
_FIXTURE = ("id", "title", "covers", "headers", "content", "answer", "client", "expect", *_DEFAULTS)


def load() -> tuple[Fixture, ...]:
    """Every fixture, by file and in the order of the file.

    Raises:
        WireError: a file cannot be read as it stands, or an id is used twice.
    """
    files = sorted(
        (file for file in resources.files(__package__).iterdir() if file.name.endswith(".yaml")),
        key=lambda file: file.name,
    )
    found = [fixture for file in files for fixture in parse(file.read_text("utf-8"), file.name)]
    ids = [fixture.id for fixture in found]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise WireError(f"used twice: {', '.join(twice)}")
    return tuple(found)


def parse(text: str, file: str) -> tuple[Fixture, ...]:
    """The fixtures of one file.

    Raises:
        WireError: it cannot be read as it stands; says file and place.
    """
    top = document(text, file).only("about", "shared", "fixtures", *_DEFAULTS)
    top.at("about").text()
    return tuple(_fixtures(top, file.removesuffix(".yaml")))


def _fixtures(top: Place, api: str) -> Iterator[Fixture]:
    for item in top.at("fixtures").each():
        item.only(*_FIXTURE)
        answer = item.at("answer").only("type", *body.KEYS, *body.OPTIONS)
        client = item.at("client", answer.value).only(*body.KEYS, *body.OPTIONS, "type")
        sent = body.write(answer)
        yield Fixture(
            id=item.at("id").text(),
            api=api,
            title=item.at("title").text(),
            covers=tuple(each.text() for each in item.at("covers", []).each()),
            path=_given(item, top, "path").text(),
            headers=tuple(_headers(item)),
            request=item.at("content").text().encode() if item.has("content") else _request(item, top),
            content_type=body.content_type(answer),
            answer=sent,
            client=body.write(client) if item.has("client") else sent,
            model=_given(item, top, "model").text(),
            numbers=_numbers(item.at("expect")),
        )


def _given(item: Place, top: Place, name: str) -> Place:
    return item.at(name) if item.has(name) else top.at(name)


def _request(item: Place, top: Place) -> bytes:
    value = _given(item, top, "request")
    if not isinstance(value.value, dict):
        raise value.fail("a mapping is needed")
    return compact(value.value)


def _headers(item: Place) -> Iterator[tuple[str, str]]:
    given = {name.lower(): value for name, value in item.at("headers", {}).strings().items()}
    yield from ({CONTENT_TYPE: "application/json"} | given).items()


def _numbers(expect: Place) -> Numbers:
    counts = ("prompt", "completion", "total", "cached", "cache_write", "reasoning")
    expect.only(*counts, "source")
    given = {name: expect.at(name).count() for name in counts if expect.has(name)}
    if missing := [name for name in counts[:3] if name not in given]:
        raise expect.fail(f"{', '.join(missing)} is missing")
    return Numbers(**given, source=expect.at("source", "reported").one_of(*_SOURCES))
