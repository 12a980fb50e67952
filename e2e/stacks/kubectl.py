"""kubectl on one cluster, and port-forwards that are kept running."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from llmroute.local.processes import ManagedProcess

Document = dict[str, Any]

_POLL: Final = 0.1
"""Seconds between two looks at the cluster."""
_FORWARDING: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


class ClusterError(RuntimeError):
    """A command on the cluster failed, or a condition did not come; the message is what there is to know."""


def run(*command: str, stdin: str | None = None, within: float = 60.0, extra: Mapping[str, str] | None = None) -> str:
    """Run a program: what it writes to stdout. ``extra`` is added to its environment.

    Raises:
        ClusterError: it fails, or does not end in time.
    """
    try:
        done = subprocess.run(
            command, input=stdin, env={**os.environ, **(extra or {})}, capture_output=True, text=True, check=False,
            timeout=within,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(command)} did not end within {within:g} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise ClusterError(f"{' '.join(command)} ends with exit code {done.returncode}: {said}")
    return done.stdout


class Kubectl:
    """kubectl with a kubeconfig and a cache of our own: whatever cluster the user works with is not touched."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self.base = (
            str(program),
            "--kubeconfig",
            str(kubeconfig),
            "--cache-dir",
            str(kubeconfig.with_suffix(".cache")),
        )

    def __call__(self, *arguments: str, stdin: str | None = None, within: float = 60.0) -> str:
        """Run a command: its output.

        Raises:
            ClusterError: it fails.
        """
        return run(*self.base, *arguments, stdin=stdin, within=within)

    def get(self, *arguments: str) -> Any:
        """``kubectl get``: an object or a List, as it came."""
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Create or update objects, in this order."""
        items = list(documents)
        if items:
            self("apply", "-f", "-", stdin=_list(items))

    def delete(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Delete objects, if they are there, and wait until they are gone."""
        items = list(documents)
        if items:
            self("delete", "--ignore-not-found", "-f", "-", stdin=_list(items))


def _list(items: list[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def wait_until(condition: Callable[[], bool], what: Callable[[], str], within: float = 60.0) -> None:
    """Wait until ``condition`` holds; ``what`` says what was waited for.

    Raises:
        ClusterError: it does not in time.
    """
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"not within {within:g} s: {what()}")
        time.sleep(_POLL)


class PortForward(ManagedProcess):
    """``kubectl port-forward`` from a free port of this machine to ``target`` (``svc/NAME``, ``pod/NAME``, …)."""

    name: ClassVar[str] = "port-forward"

    def __init__(self, kubectl: Kubectl, namespace: str, target: str, port: int) -> None:
        super().__init__()
        self._arguments = (*kubectl.base, "port-forward", "--address", "127.0.0.1", "-n", namespace, target, f":{port}")

    def _command(self) -> list[str]:
        return list(self._arguments)

    def _is_ready(self) -> bool:
        return _FORWARDING.search(self.log_path.read_text("utf-8", "replace")) is not None

    @property
    def port(self) -> int:
        """The port of this machine."""
        found = _FORWARDING.search(self.log_path.read_text("utf-8", "replace"))
        assert found, "entering waits for it"
        return int(found[1])


class Forwards:
    """Port-forwards by where they lead, each started on first use, and again when it ended: its pod may have."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._running: dict[tuple[str, str, int], PortForward] = {}

    def port(self, namespace: str, target: str, port: int) -> int:
        """The port of this machine that leads to ``port`` of ``target``."""
        place = (namespace, target, port)
        forward = self._running.get(place)
        if forward is not None and forward.exit_code is None:
            return forward.port
        if forward is not None:
            forward.stop()
        forward = PortForward(self._kubectl, *place)
        forward.start()
        self._running[place] = forward
        return forward.port

    def close(self) -> None:
        """Stop them all."""
        while self._running:
            self._running.popitem()[1].stop()
