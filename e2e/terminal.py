"""A reader of the documents: in a clone, with a cluster, typing what a page shows."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from e2e.stacks.kind_cluster import KindCluster
from e2e.stacks.kind_images import published_chart
from e2e.stacks.kubectl import wait_until
from e2e.stacks.tools import tool
from llmroute.local.ports import free_port, port_is_free

ROOT: Final = Path(__file__).resolve().parent.parent
_LINKED: Final = (".venv", "Makefile", "constraints.txt", "pyproject.toml", "tools")
"""What commands of a clone need beside the manifests."""
_OF_MAKE: Final = frozenset({"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKE_TERMOUT", "MAKE_TERMERR"})
_WITHIN: Final = 120.0
COMPLETE: Final = "nothing is missing: this cluster can run what llmroute generates"
"""What ``make doctor`` says at last."""


class Terminal:
    """One bash: what a command exports stays, and what it leaves in the background runs on until the end."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = environment
        self._run = 0

    def __enter__(self) -> Self:
        self._bash = subprocess.Popen(
            ["bash", "--norc"], cwd=self.folder, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._bash.pid, signal.SIGTERM)
        self._bash.communicate(timeout=_WITHIN)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command: how it ended, and what it printed until then."""
        self._run += 1
        out, err = (self.folder / f"command-{self._run}.{stream}" for stream in ("out", "err"))
        assert self._bash.stdin
        assert self._bash.stdout
        # What stays in the background prints to files of its own.
        self._bash.stdin.write(f"{{\n{command}\n}} >{out} 2>{err} </dev/null\necho $?\n")
        self._bash.stdin.flush()
        ready, _, _ = select.select([self._bash.stdout], [], [], _WITHIN)
        assert ready, f"{command}: no end within {_WITHIN:g} s: {err.read_text('utf-8')}"
        code = int(self._bash.stdout.readline())
        return subprocess.CompletedProcess(command, code, out.read_text("utf-8"), err.read_text("utf-8"))

    def do(self, command: str) -> str:
        """Run a command that has to be fine: what it printed."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    def repeat(self, command: str, until: str) -> None:
        """Run a command until it prints ``until`` and nothing else.

        Raises:
            ClusterError: it does not in time; says what it printed last.
        """
        last = [""]

        def fine() -> bool:
            last[0] = self.run(command).stdout
            return last[0].strip() == until.strip()

        wait_until(fine, lambda: f"{command}: {last[0]}")


@contextlib.contextmanager
def reader(cluster: KindCluster, folder: Path) -> Iterator[Terminal]:
    """In a clone in ``folder``. Its manifests name the images that the cluster has, in place of two to be pulled."""
    for name in _LINKED:
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    for file in (folder / "manifests").rglob("*.yaml"):
        file.write_text(cluster.adapted(file.read_text("utf-8")), "utf-8")
    programs = os.pathsep.join(str(tool(name).parent) for name in ("kubectl", "helm"))
    environment = {
        # A reader types in no recipe of make's: one that was called in it would print more.
        **{name: value for name, value in os.environ.items() if name not in _OF_MAKE},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
        "KUBECACHEDIR": str(folder / "kubectl.cache"),
    }
    with Terminal(folder, environment) as terminal:
        yield terminal


def chart_of(cluster: KindCluster, command: str) -> str:
    """A command of Helm with the chart that the cluster is made of, where the published one cannot be pulled."""
    published = " ".join(published_chart())
    assert command.count(published) == 1, command
    return command.replace(published, " ".join(cluster.images.chart))


def images_of(cluster: KindCluster) -> str:
    """Helm's options for the images that the cluster is made of, where the chart's own cannot be pulled."""
    return "".join(f" --set {value}" for value in cluster.images.values)


def on_free_port(port: int, *commands: str) -> tuple[int, list[str]]:
    """The commands as they stand, or with another port of this machine where theirs is taken."""
    if port_is_free("127.0.0.1", port):
        return port, list(commands)
    other = free_port()
    return other, [re.sub(rf"(?<=[ :]){port}(?=:|$)", str(other), command) for command in commands]
