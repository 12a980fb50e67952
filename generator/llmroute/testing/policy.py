"""The files of a policy, read as the command line reads them, and the stack that serves them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from llmroute.conformance.adapters.local import LocalStack
from llmroute.diagnostic import Severity, has_errors
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint, Plan
from llmroute.targets import ENVOY, Capabilities, capabilities
from llmroute.testing.errors import PolicyError
from llmroute.testing.identity import with_our_keys


def target() -> Capabilities:
    """What the gateway of a test can do: that of ``llmroute run``."""
    return dataclasses.replace(capabilities(ENVOY), refunds=True)


def read(files: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    """Each file's name, relative to where the tests run if it is below, and its text.

    Raises:
        PolicyError: a file cannot be read.
    """
    return tuple((_name(file), _text(file)) for file in files)


def _name(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{file}: not UTF-8") from error


class PolicyStack(LocalStack):
    """The gateway of these files: every backend is the scripted upstream, and tokens are signed by us."""

    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._texts = texts

    def begin(self, now: float) -> None:
        """Serve, with empty counters, at this time (Unix seconds)."""
        self.now = now
        self.apply("")

    def _compiled(self, policy: str) -> Plan:
        """The files are the policy, so that what is found is said of them.

        Raises:
            PolicyError: with what is wrong.
        """
        del policy
        upstream: dict[str | None, Endpoint] = {None: Endpoint("127.0.0.1", self.upstream.port)}
        compiled = compile_policies(self._texts, target(), stand_ins=upstream)
        if has_errors(compiled.diagnostics):
            wrong = [str(each) for each in compiled.diagnostics if each.severity is Severity.ERROR]
            raise PolicyError("\n".join(wrong))
        return with_our_keys(compiled.plan)
