"""What all typed parts of an LLMRoute are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)]
Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Model(BaseModel):
    """Frozen; unknown fields are refused, nothing is coerced; camel case in YAML."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, validate_by_alias=True
    )
