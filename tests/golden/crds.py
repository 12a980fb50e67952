"""``validate``: what an API server with Envoy Gateway's CRDs would say of a document, without one.

``crd_schema`` does the structural part, ``crd_rules`` the CEL rules, ``crd_metadata`` what every object has;
``tools/crds.py`` fetches the CRDs. Unknown fields are refused, as by ``kubectl apply --validate=strict``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.golden import crd_metadata, crd_rules, crd_schema
from tools import crds


def validate(document: Mapping[str, Any]) -> list[str]:
    """The messages, ``field: what is wrong``; none for a valid document or one of a group without CRDs.

    Raises:
        CrdsUnavailable: the CRDs are not cached and cannot be fetched.
    """
    group, _, version = str(document.get("apiVersion", "")).rpartition("/")
    kind = str(document.get("kind", ""))
    kinds = crds.index().get(group)
    if kinds is None:
        return []
    if kind not in kinds:
        return [f"kind: {group} has no kind {kind!r}"]
    schema = crds.load(group, kind)["versions"].get(version)
    if schema is None:
        return [f"apiVersion: {kind} is not served as {version}"]
    return [*crd_metadata.faults(document.get("metadata")), *faults(document, schema)]


def faults(document: Mapping[str, Any], schema: crd_schema.Schema) -> list[str]:
    """What the schema and its rules have to say of all but the metadata."""
    body = {key: value for key, value in document.items() if key != "metadata"}
    messages = list(crd_schema.unknown_fields(body, schema))
    value = crd_schema.defaulted(body, schema)
    errors = crd_schema.structural(value, schema)
    messages += [crd_schema.message_of(error) for error in errors]
    messages += crd_schema.duplicate_items(value, schema)
    if not crd_schema.BLOCKING.intersection(error.validator for error in errors):
        messages += crd_rules.broken_rules(value, schema)
    return messages
