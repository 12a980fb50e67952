"""``metadata``, which no CRD describes: the API server knows it for itself (ObjectMeta)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import re2

_FIELDS: Final = frozenset(
    [
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ]
)
_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_NAME: Final = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_ANNOTATION_BYTES: Final = 256 * 1024


def faults(metadata: Any) -> Iterator[str]:
    """A message for each field that an API server would refuse."""
    if not isinstance(metadata, Mapping):
        yield "metadata: an object is needed"
        return
    yield from (f"metadata.{key}: unknown field" for key in metadata if key not in _FIELDS)
    if "generateName" not in metadata and not _matches(metadata.get("name"), _SUBDOMAIN, 253):
        yield f"metadata.name: {metadata.get('name')!r} is no DNS subdomain"
    if "namespace" in metadata and not _matches(metadata["namespace"], _LABEL, 63):
        yield f"metadata.namespace: {metadata['namespace']!r} is no DNS label"
    yield from _map_faults(metadata, "labels")
    yield from _map_faults(metadata, "annotations")


def _map_faults(metadata: Mapping[str, Any], field: str) -> Iterator[str]:
    items = metadata.get(field, {})
    if not isinstance(items, Mapping):
        yield f"metadata.{field}: an object is needed"
        return
    for key, value in items.items():
        if not _qualified(key):
            yield f"metadata.{field}: {key!r} is no qualified name"
        if not isinstance(value, str):
            yield f"metadata.{field}[{key}]: {value!r} is no string"
        elif field == "labels" and value and not _matches(value, _NAME, 63):
            yield f"metadata.{field}[{key}]: {value!r} is no label value"
    if sum(len(f"{key}{value}".encode()) for key, value in items.items()) > _ANNOTATION_BYTES:
        yield f"metadata.{field}: more than {_ANNOTATION_BYTES} bytes"


def _qualified(key: Any) -> bool:
    """``name`` or ``subdomain/name``."""
    prefix, slash, name = str(key).rpartition("/")
    return _matches(name, _NAME, 63) and (not slash or _matches(prefix, _SUBDOMAIN, 253))


def _matches(value: Any, pattern: str, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most and re2.search(pattern, value) is not None
