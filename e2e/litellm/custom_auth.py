"""Who asks, and what they may use: LiteLLM loads this module itself, in its own environment, as ``custom_auth``.

Beside it what LiteLLM does by itself for other APIs (``forward_client_headers_to_llm_api``) for Gemini's own: a request's
headers reach the upstream, which is told there what to answer.

The suite says who asks in the header ``x-user-id``, which becomes LiteLLM's key. The limits are those of the policy in
force, as ``translation`` wrote them; the file is read for each request, so that one proxy serves policy after policy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.proxy.common_utils.http_parsing_utils import _read_request_body

_TABLE: Final = Path(os.environ["LLMROUTE_LITELLM_TABLE"])
_USER: Final = "x-user-id"


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    """The key of a request, with the limits of the policy in force.

    Raises:
        ProxyException: nobody says who asks: a 401, as LiteLLM's own for a request without a key.
    """
    del api_key
    user = request.headers.get(_USER, "").strip()
    if not user:
        raise ProxyException(f"no {_USER}", "auth_error", _USER, 401)
    table = json.loads(_TABLE.read_text("utf-8"))
    generation = table["generation"]
    model = (await _read_request_body(request)).get("model")
    key, team = table["api_key"].get("", {}), table["team"].get("", {})
    return UserAPIKeyAuth(
        api_key=f"{generation}-{user}",
        tpm_limit=key.get("tpm"),
        rpm_limit=key.get("rpm"),
        metadata=_of_models(table["model_per_key"], model),
        team_id=generation,
        team_tpm_limit=team.get("tpm"),
        team_rpm_limit=team.get("rpm"),
        project_id=generation,
        project_metadata=_of_models(table["model_per_project"], model),
    )


class _Forward(CustomLogger):  # type: ignore[misc]  # its types are in another environment
    """Headers for the upstream where LiteLLM keeps them for others of its calls."""

    async def async_pre_call_hook(
        self,
        user_api_key_dict: UserAPIKeyAuth,
        cache: object,
        data: dict[str, Any],
        call_type: str,
    ) -> None:
        """Before a request goes on."""
        del user_api_key_dict, cache
        if call_type.startswith("agenerate_content"):
            data["extra_headers"] = data.get("headers", {})


forward: Final = _Forward()


def _of_models(limits: Mapping[str, Mapping[str, int]], asked: object) -> dict[str, Any]:
    """``model_tpm_limit`` and ``model_rpm_limit``; what holds for each model is written out for the one asked for."""
    found: dict[str, Any] = {}
    for name, of in limits.items():
        model = name or asked
        for kind, quantity in of.items():
            if isinstance(model, str):
                found.setdefault(f"model_{kind}_limit", {})[model] = quantity
    return found
