"""A bare Kubernetes API server on etcd: no node, nothing runs on it, but what it takes and refuses is the real thing.

Both programs are those that ``make airgap`` builds for a cluster's nodes, or any on PATH.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from e2e.stacks.kubectl import Kubectl
from e2e.stacks.protocol import Unavailable
from e2e.stacks.tools import tool
from llmroute.local.ports import free_ports, http_get
from llmroute.local.processes import ManagedProcess
from llmroute.local.tools import on_path
from tools.pins import cache_root

_HOST: Final = "127.0.0.1"
_BUILT: Final = {"kube-apiserver": "kubernetes-v*/kube-apiserver", "etcd": "etcd-v*/etcd"}
"""Where ``e2e/airgap`` leaves them, below its cache; the newest counts."""


@contextlib.contextmanager
def api_server() -> Iterator[Kubectl]:
    """Kubectl as the administrator of a new, empty API server.

    Raises:
        Unavailable: a program is missing; the message says which.
    """
    kubectl, server, etcd = tool("kubectl"), _program("kube-apiserver"), _program("etcd")
    with (
        tempfile.TemporaryDirectory(prefix="llmroute-api-") as folder,
        _Etcd(etcd) as store,
        _Server(server, store.url, Path(folder)) as running,
    ):
        yield Kubectl(kubectl, running.kubeconfig)


def _program(name: str) -> Path:
    built = sorted((cache_root() / "airgap").glob(_BUILT[name]))
    found = on_path(*(str(path) for path in reversed(built)), name)
    if found is None:
        raise Unavailable(f"{name} is neither built by make airgap nor on PATH")
    return found


class _Etcd(ManagedProcess):
    name: ClassVar[str] = "etcd"

    def __init__(self, program: Path) -> None:
        super().__init__()
        self._program = program
        self._client, self._peer = free_ports(2)

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self._client}"

    def _command(self) -> list[str]:
        peer = f"http://{_HOST}:{self._peer}"
        return [
            str(self._program),
            *("--data-dir", str(self.workdir / "data"), "--unsafe-no-fsync"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        ]

    def _is_ready(self) -> bool:
        return http_get((_HOST, self._client), "/health")[0] == 200


class _Server(ManagedProcess):
    name: ClassVar[str] = "kube-apiserver"
    ready_within: ClassVar[float] = 60.0

    def __init__(self, program: Path, etcd: str, workdir: Path) -> None:
        super().__init__(workdir)
        self._program = program
        self._etcd = etcd
        self._token = secrets.token_hex()
        (self._port,) = free_ports(1)

    @property
    def kubeconfig(self) -> Path:
        """A file with the address and the administrator's token."""
        file = self.workdir / "kubeconfig"
        server = {"server": f"https://{_HOST}:{self._port}", "certificate-authority": str(self._certificate)}
        parts = {
            "clusters": [{"name": "bare", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "admin"}}],
        }
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "bare", **parts}), "utf-8")
        return file

    @property
    def _certificate(self) -> Path:
        return self.workdir / "certs" / "apiserver.crt"

    def _command(self) -> list[str]:
        key, tokens = self.workdir / "accounts.key", self.workdir / "tokens.csv"
        key.write_bytes(_private_key())
        tokens.write_text(f'{self._token},admin,1,"system:masters"\n', "utf-8")
        return [
            str(self._program),
            *("--etcd-servers", self._etcd, "--cert-dir", str(self._certificate.parent)),
            *("--bind-address", _HOST, "--secure-port", str(self._port)),
            *("--service-account-issuer", "https://llmroute.invalid", "--service-account-key-file", str(key)),
            *("--service-account-signing-key-file", str(key), "--token-auth-file", str(tokens)),
            *("--service-cluster-ip-range", "192.0.2.0/24"),
        ]

    def _is_ready(self) -> bool:
        if not self._certificate.exists():
            return False
        context = ssl.create_default_context(cafile=str(self._certificate))
        connection = http.client.HTTPSConnection(_HOST, self._port, timeout=2.0, context=context)
        try:
            connection.request("GET", "/readyz", headers={"authorization": f"Bearer {self._token}"})
            return connection.getresponse().status == 200
        finally:
            connection.close()


def _private_key() -> bytes:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
