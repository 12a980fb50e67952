"""The module as an OCI image: one layer with the file ``plugin.wasm``, as Envoy Gateway takes it from a registry.

The same module gives the same bytes on every machine, whatever its zlib: the layer is stored, not compressed.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from llmroute.render.wasm import filter_module

SCHEME: Final = "oci://"
"""Of a URL that names an image: its registry, repository and tag follow."""
TAG: Final = "filter"
"""What a layout calls its one image."""
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_FILE: Final = "plugin.wasm"
_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_MOST: Final = 0xFFFF
"""Bytes of a stored block."""


@dataclass(frozen=True, slots=True)
class Image:
    """``digest``: that of the manifest, in hex, by which it is known. ``files``: an OCI image layout, by path."""

    digest: str
    files: Mapping[str, bytes]


def module_image() -> Image:
    """The image of the module in the package."""
    archive = _archive(filter_module())
    layer = _stored(archive)
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{sha256(archive).hexdigest()}"]}
    config = _json({"architecture": "wasm", "config": {}, "os": "wasip1", "rootfs": rootfs})
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    named = _descriptor(_MANIFEST, manifest) | {"annotations": {"org.opencontainers.image.ref.name": TAG}}
    blobs = {f"blobs/sha256/{sha256(blob).hexdigest()}": blob for blob in (layer, config, manifest)}
    index = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [named]})
    return Image(
        sha256(manifest).hexdigest(),
        {**blobs, "index.json": index, "oci-layout": _json({"imageLayoutVersion": "1.0.0"})},
    )


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{sha256(blob).hexdigest()}", "size": len(blob)}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _archive(module: bytes) -> bytes:
    out = io.BytesIO()
    entry = tarfile.TarInfo(_FILE)
    entry.size, entry.mode = len(module), 0o644
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(module))
    return out.getvalue()


def _stored(content: bytes) -> bytes:
    """Gzip's frame around stored blocks, each with its length and the complement of that; the last one says so."""
    out = bytearray(_GZIP_HEAD)
    for at in range(0, len(content), _MOST):
        piece = content[at : at + _MOST]
        out += struct.pack("<BHH", at + _MOST >= len(content), len(piece), len(piece) ^ _MOST) + piece
    return bytes(out + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF))
