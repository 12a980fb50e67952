"""LiteLLM's proxy as a context manager, configured as its documentation says for production."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from llmroute.local.errors import LocalError
from llmroute.local.ports import free_port, http_get
from llmroute.local.processes import ManagedProcess
from llmroute.render.yaml import dump

_AUTH: Final = Path(__file__).with_name("custom_auth.py")
_NOWHERE: Final = "http://127.0.0.1:9"
"""A proxy that is none: nothing of a run leaves this machine."""
_PROVIDERS: Final = (
    ("claude-*", "anthropic/claude-*", ""),
    ("gemini-*", "gemini/gemini-*", ""),
    ("gpt-3.5-turbo-instruct", "text-completion-openai/gpt-3.5-turbo-instruct", "/v1"),
    ("*", "openai/*", "/v1"),
)
"""Names of models, LiteLLM's names of the same with their provider, and the path that this one's addresses begin with."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a proxy is told once for all: how long a window is, in seconds, and which tokens count."""

    window: int
    counts: str


@dataclass(frozen=True, slots=True)
class Around:
    """What every proxy has around it: ports of the upstream and of Redis, and the file with the policy in force.

    ``variables`` are more of its environment's.
    """

    upstream: int
    redis: int
    table: Path
    variables: Mapping[str, str] = field(default_factory=dict)


def configuration(setting: Setting, around: Around) -> dict[str, Any]:
    """The ``config.yaml`` of a proxy."""
    redis = {"host": "127.0.0.1", "port": around.redis}
    return {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {
                    "model": model,
                    "api_base": f"http://127.0.0.1:{around.upstream}{path}",
                    "api_key": "none",
                },
            }
            for name, model, path in _PROVIDERS
        ],
        "litellm_settings": {
            "telemetry": False,
            "num_retries": 0,
            # Redis for the counters of all processes; no answer is kept.
            "cache": True,
            "cache_params": {"type": "redis", **redis, "supported_call_types": []},
            "callbacks": [f"{_AUTH.stem}.forward"],
        },
        "router_settings": {"num_retries": 0, **{f"redis_{key}": value for key, value in redis.items()}},
        "general_settings": {
            "master_key": f"sk-{secrets.token_hex(24)}",
            "custom_auth": f"{_AUTH.stem}.user_api_key_auth",
            "token_rate_limit_type": setting.counts,
            # Else each process counts for itself while Redis is away.
            "fail_closed_rate_limit_enforcement": True,
            # So that the upstream is told what it has to answer.
            "forward_client_headers_to_llm_api": True,
        },
    }


class LiteLLMProxy(ManagedProcess):
    """One proxy; ready when it says so."""

    name: ClassVar[str] = "litellm"
    ready_within: ClassVar[float] = 120.0

    def __init__(self, environment: Path, setting: Setting, around: Around) -> None:
        super().__init__()
        self._home = environment
        self._setting = setting
        self._around = around
        self._port = 0

    @property
    def url(self) -> str:
        """Where it takes traffic."""
        if not self._port:
            raise LocalError(f"{self.name} is not running")
        return f"http://127.0.0.1:{self._port}"

    def _command(self) -> list[str]:
        self._port = free_port()
        config = self.workdir / "config.yaml"
        config.write_text(dump(configuration(self._setting, self._around)), "utf-8")
        shutil.copy(_AUTH, self.workdir)
        place = ["--host", "127.0.0.1", "--port", str(self._port)]
        programs = self._home / "bin"
        return [str(programs / "python"), str(programs / "litellm"), "--config", str(config), *place]

    def _environment(self) -> Mapping[str, str]:
        upstream = f"http://127.0.0.1:{self._around.upstream}"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.workdir),
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_RATE_LIMIT_WINDOW_SIZE": str(self._setting.window),
            "LLMROUTE_LITELLM_TABLE": str(self._around.table),
            # What passes through as it is has no entry in ``model_list``.
            "OPENAI_API_BASE": upstream,
            "OPENAI_API_KEY": "none",
            "HTTPS_PROXY": _NOWHERE,
            "NO_PROXY": "127.0.0.1",
            **self._around.variables,
        }

    def _is_ready(self) -> bool:
        status, _ = http_get(("127.0.0.1", self._port), "/health/readiness")
        return status == 200
