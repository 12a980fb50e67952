"""Containers of one stack on a network of their own, labelled so that none can get lost.

Whatever happens, ``Project.__exit__`` asks the engine for everything that carries the project's label, and
removes it. What a process that was killed left behind is removed by the next one on the same machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import FrameType, TracebackType
from typing import Any, Final, Self

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # its reaper is an image, which not every machine can pull

import docker
from docker.errors import APIError, NotFound
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from e2e.stacks.compose_file import Service

PROJECT_LABEL: Final = "llmroute.e2e.project"
OWNER_LABEL: Final = "llmroute.e2e.owner"
"""``HOST/PID`` of the process that has to remove it."""
LOOPBACK: Final = "127.0.0.1"
_WITHIN: Final = 60.0
"""Seconds for a container to become healthy: on a busy machine a health check alone takes one."""


class NotHealthy(Exception):  # noqa: N818 it says what the container is not
    """A container did not become healthy; the message ends with its last lines."""


class Project:
    """Containers, network and volumes that live as long as the ``with`` block."""

    def __init__(self) -> None:
        self.id = f"llmroute-{uuid.uuid4().hex[:12]}"
        self.labels = {PROJECT_LABEL: self.id, OWNER_LABEL: _owner()}
        self._docker = docker.from_env()
        self._network: Network | None = None
        self._containers: dict[str, DockerContainer] = {}
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            exits.callback(self._docker.close)
            exits.callback(lambda: remove_labelled(self._docker, self.id))
            exits.enter_context(_interrupted_by_sigterm())
            remove_orphans(self._docker)
            self._network = Network(docker_network_kw={"labels": self.labels})
            exits.callback(self._network._docker.client.close)  # noqa: SLF001 it never closes its client itself
            self._network.create()
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._exits:
            for name in list(self._containers):
                self.remove(name)

    def start(self, service: Service, *, publish: tuple[int, ...] = ()) -> None:
        """Start a service, reachable by its name, and wait until its health check passes.

        Its ports, and those of ``publish``, are published on free ports of loopback.

        Raises:
            NotHealthy: it did not come up.
        """
        assert self._network
        container = DockerContainer(service.image, command=list(service.command) or None)  # type: ignore[arg-type]
        self._containers[service.name] = container
        container.with_envs(**service.environment).with_network(self._network).with_network_aliases(service.name)
        for mount in service.mounts:
            source = self._volume(mount.source) if mount.named else mount.source
            container.with_volume_mapping(source, mount.target, mount.mode)
        for port in {*service.ports, *publish}:
            container.ports[str(port)] = (LOOPBACK, None)  # type: ignore[assignment] # its own methods publish to all
        container.with_kwargs(labels=self.labels, extra_hosts=dict(service.extra_hosts))
        container.start()
        if service.health:
            self._wait_until_healthy(service)

    def remove(self, name: str) -> None:
        """Stop a service at once and remove it, with its anonymous volumes; nothing where it does not run."""
        container = self._containers.pop(name, None)
        if container:
            with contextlib.suppress(NotFound):
                container.stop()

    def address(self, name: str, port: int) -> str:
        """``host:port`` where a port of a service is published."""
        bindings = self._wrapped(name).attrs["NetworkSettings"]["Ports"][f"{port}/tcp"]
        return f"{bindings[0]['HostIp']}:{bindings[0]['HostPort']}"

    def logs(self, lines: int = 50) -> str:
        """The last lines of each container."""
        return "\n".join(f"--- {name}\n{self._tail(name, lines)}" for name in self._containers)

    def _tail(self, name: str, lines: int) -> str:
        try:
            return str(self._wrapped(name).logs(tail=lines).decode(errors="replace"))
        except APIError as error:
            return f"(no logs: {error.explanation})"

    def _wrapped(self, name: str) -> Any:
        container = self._containers[name].get_wrapped_container()
        container.reload()
        return container

    def _volume(self, name: str) -> str:
        full = f"{self.id}-{name}"
        self._docker.volumes.create(full, labels=self.labels)  # the same one, where it is there already
        return full

    def _wait_until_healthy(self, service: Service) -> None:
        """Run the check until it passes once: the engine's own rounds are seconds apart, and never end."""
        deadline = time.monotonic() + _WITHIN
        while True:
            for name in self._containers:  # a part that this one needs may be what is missing
                if self._wrapped(name).status != "running":
                    raise NotHealthy(f"{name} ended: {self._tail(name, 20)}")
            with contextlib.suppress(APIError):  # it ended between the two calls; the next round says so
                if self._wrapped(service.name).exec_run(list(service.health or ())).exit_code == 0:
                    return
            if time.monotonic() > deadline:
                raise NotHealthy(f"{service.name} is not healthy: {self._tail(service.name, 20)}")
            time.sleep(0.05)


def labelled(client: docker.DockerClient, project: str | None = None) -> list[Any]:
    """Containers, networks and volumes of a project; of all projects when none is given. In order of removal."""
    label = PROJECT_LABEL if project is None else f"{PROJECT_LABEL}={project}"
    containers = client.containers.list(all=True, ignore_removed=True, filters={"label": label})
    networks, volumes = (kind.list(filters={"label": label}) for kind in (client.networks, client.volumes))
    return [*containers, *networks, *volumes]


def remove_labelled(client: docker.DockerClient, project: str) -> None:
    """Remove everything of a project."""
    for thing in labelled(client, project):
        _remove(thing)


def remove_orphans(client: docker.DockerClient) -> None:
    """Remove what processes of this machine left behind that do not run any more."""
    for thing in labelled(client):
        if _is_orphan(_labels(thing)):
            _remove(thing)


def _labels(thing: Any) -> Mapping[str, str]:
    return getattr(thing, "labels", None) or thing.attrs.get("Labels") or {}


def _remove(thing: Any) -> None:
    arguments = {"v": True, "force": True} if hasattr(thing, "exec_run") else {}
    try:
        thing.remove(**arguments)
    except APIError as error:
        gone = error.status_code == HTTPStatus.NOT_FOUND or "already in progress" in str(error.explanation)
        if not gone:  # somebody else removes it, who found the same orphan
            raise


def _owner() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"


def _is_orphan(labels: Mapping[str, str]) -> bool:
    host, _, pid = labels.get(OWNER_LABEL, "").partition("/")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # somebody else's, and it runs
    return False


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM as Ctrl-C: pytest then ends its fixtures, and with them the containers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
