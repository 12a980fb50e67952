"""The docker stack leaves nothing behind: no container, network, volume or file, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.capability import only_on
from e2e.client import Client, wait_for
from e2e.stacks import Stack
from tests.policies import limit, route, rule, text

if TYPE_CHECKING:
    import docker

    from e2e.stacks.docker import DockerStack

POLICY = text(route(rule(limit(1000, unit="Day"))))
OWNER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell begins without it
from e2e.stacks.compose_file import Service
from e2e.stacks.containers import Project
with Project() as project:
    project.start(Service("redis", sys.argv[1], ("redis-server",), {}, (), (), {}, ("redis-cli", "ping"), ()))
    print(project.id, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def running(request: pytest.FixtureRequest) -> Stack:
    """The session's docker stack; the other stacks have no containers to leave."""
    stack: Stack = only_on(request, "docker", "an engine with containers of the stack's")
    return stack


@pytest.fixture
def engine(running: Stack) -> Iterator[docker.DockerClient]:
    """A client of the engine."""
    del running
    from docker import from_env

    client = from_env()
    yield client
    client.close()


@pytest.fixture
def redis_image(running: DockerStack) -> str:
    """The image of Redis that the stack chose."""
    return running.images["LLMROUTE_REDIS_IMAGE"]


def left(engine: docker.DockerClient, project: str) -> list[Any]:
    """What the engine still has of a project."""
    from e2e.stacks.containers import labelled

    return labelled(engine, project)


@contextlib.contextmanager
def owner(image: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of its own with a project of one container, and the project's name."""
    root = Path(__file__).resolve().parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, image],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        yield process, process.stdout.readline().strip()
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def own(running: Stack) -> Iterator[DockerStack]:
    """A second stack beside the session's."""
    del running
    from e2e.stacks.docker import DockerStack

    with DockerStack() as stack:
        yield stack


def test_two_stacks_are_strangers(own: DockerStack, running: DockerStack) -> None:
    """Own network, own ports, own counters: a second stack takes nothing from the first."""
    running.apply(POLICY)
    own.apply(POLICY)
    client = Client(own)
    assert client.chat(7).status == 200
    assert wait_for(lambda: own.used(0) == 7)
    client.close()
    assert running.used(0) == 0
    assert own.url != running.url


def test_nothing_is_left_of_a_stack_that_served(engine: docker.DockerClient, running: Stack) -> None:
    """Containers, the network, the volume of the counters, and the files that were mounted."""
    del running
    from e2e.stacks.docker import DockerStack

    with DockerStack() as stack:
        stack.apply(POLICY)
        folder = stack.directory
        kinds = [type(thing).__name__ for thing in left(engine, stack.project.id)]
    assert kinds == ["Container"] * 4 + ["Network", "Volume"]
    assert left(engine, stack.project.id) == []
    assert not folder.exists()


def test_nothing_is_left_of_one_that_does_not_start(engine: docker.DockerClient, redis_image: str) -> None:
    """A part that ends at once: the message has its last words, and all that had started is gone."""
    from e2e.stacks.compose_file import Mount, Service
    from e2e.stacks.containers import NotHealthy, Project

    mount = Mount("data", "/data", "rw", named=True)
    good = Service("good", redis_image, ("redis-server",), {}, (mount,), (), {}, ("redis-cli", "ping"), ())
    bad = Service("bad", redis_image, ("redis-server", "--nonsense"), {}, (), (), {}, ("redis-cli", "ping"), ("good",))
    project = Project()

    def start() -> None:
        with project:
            project.start(good)
            assert len(left(engine, project.id)) == 3
            project.start(bad)

    with pytest.raises(NotHealthy, match=r"bad ended: [\s\S]*nonsense"):
        start()
    assert left(engine, project.id) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_nothing_is_left_after_an_interrupt(
    engine: docker.DockerClient, redis_image: str, number: signal.Signals
) -> None:
    """Ctrl-C and a polite kill: the process removes what it has before it ends."""
    with owner(redis_image) as (process, project):
        assert len(left(engine, project)) == 2
        process.send_signal(number)
        assert process.wait(30) != 0
        assert left(engine, project) == []


def test_what_a_killed_process_left_is_removed_by_the_next(engine: docker.DockerClient, redis_image: str) -> None:
    """Nobody can clean up after SIGKILL but another; what belongs to a process that runs stays."""
    from e2e.stacks.containers import Project

    with owner(redis_image) as (alive, theirs), owner(redis_image) as (killed, orphan):
        killed.kill()
        killed.wait(30)
        assert len(left(engine, orphan)) == 2
        with Project():
            assert left(engine, orphan) == []
            assert len(left(engine, theirs)) == 2
        alive.terminate()
        alive.wait(30)
