"""The catalogue of findings. An id keeps its meaning for ever; new ones go to the end."""

from __future__ import annotations

from typing import Final

from llmroute.diagnostic import Code

NOT_YAML: Final = Code("LR001", "the file is not YAML")
DUPLICATE_KEY: Final = Code("LR002", "a key stands twice in one mapping")
UNKNOWN_FIELD: Final = Code("LR003", "the LLMRoute has no such field")
WRONG_VALUE: Final = Code("LR004", "a value has the wrong type or is out of range")
MISSING_FIELD: Final = Code("LR005", "a required field is missing")
NOT_YET: Final = Code("LR006", "the field belongs to the API, but this version does not carry it out")
NO_LLMROUTE: Final = Code("LR007", "the input holds no LLMRoute")
DUPLICATE_ROUTE: Final = Code("LR008", "two LLMRoutes have one name")
DUPLICATE_BACKEND: Final = Code("LR009", "a backend stands twice")
DISTINCT_VALUE: Final = Code("LR010", "a Distinct match has a value")
MATCH_VALUE: Final = Code("LR011", "an Exact or RegularExpression match has no value")
BAD_REGEX: Final = Code("LR012", "a regular expression is not RE2")
BAD_HEADER: Final = Code("LR013", "a header name cannot be matched by Envoy")
TOO_MANY: Final = Code("LR014", "the target takes fewer rules or selectors")
NO_ADDRESS: Final = Code("LR015", "the target needs a backend's address and the input has none")
NAME_TAKEN: Final = Code("LR016", "the input already holds a resource that would be generated")
AMBIGUOUS_BACKEND: Final = Code("LR017", "two LLMRoutes of one gateway serve the same backend")
AMBIGUOUS_DEFAULT: Final = Code("LR018", "two LLMRoutes of one gateway take requests that name no backend")
AMBIGUOUS_HEADERS: Final = Code("LR019", "two limits look alike in the response headers")
UNKNOWN_API: Final = Code("LR020", "the LLMRoute is of an API version that this version does not know")
NO_NAME: Final = Code("LR021", "a name is not one that Kubernetes takes")
IN_A_LIST: Final = Code("LR022", "an LLMRoute stands inside a List")
NO_EFFECT: Final = Code("LR023", "a field has no effect beside what another says")
UNKNOWN_UNLIMITED: Final = Code("LR024", "requests whose model cannot be read meet no limit")
