"""How a case is read for a gateway with the other admission rule.

Cases say what holds where a request is admitted while ``used < limit``. A gateway that admits while ``used <= limit``
does just that with a quantity one less: then the same requests pass and the same are refused, and only what answers
say of quantity and remainder is one less. A quantity of 0 has no such reading; ``applies`` says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from llmroute import names
from llmroute.conformance.case import Case, Send, Step
from llmroute.conformance.features import Admission
from llmroute.render.yaml import dump, join


def read_for(case: Case, admission: Admission) -> Case:
    """The case for a gateway with this rule."""
    if admission is Admission.BELOW or case.admission is not None:
        return case
    documents = [document for document in yaml.safe_load_all(case.policy) if document]
    policy = join(dump(_less(d) if d["kind"] == names.KIND else d) for d in documents)
    return dataclasses.replace(case, policy=policy, steps=tuple(map(_said, case.steps)))


def _less(value: Any) -> Any:
    """The same with each quantity one less."""
    if isinstance(value, Mapping):
        return {k: v - 1 if k == "quantity" else _less(v) for k, v in value.items()}
    return [_less(each) for each in value] if isinstance(value, list) else value


def _said(step: Step) -> Step:
    if not isinstance(step, Send) or step.expect.left is None:
        return step
    return dataclasses.replace(step, expect=dataclasses.replace(step.expect, left=step.expect.left - 1))
