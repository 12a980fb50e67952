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

SCHEME: Final = "oci://"
"""Of a URL that names a repository of images."""
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
    """``digest``: that of the manifest, in hex, by which it is known. ``blobs``: manifest, configuration and layer."""

    digest: str
    size: int
    blobs: Mapping[str, bytes]


def module_image(module: bytes) -> Image:
    """The image of a module. ``blobs`` are by their digest, in hex."""
    archive = _archive(module)
    layer = _stored(archive)
    diff = f"sha256:{sha256(archive).hexdigest()}"
    rootfs = {"type": "layers", "diff_ids": [diff]}
    config = _json({"architecture": "wasm", "config": {}, "os": "wasip1", "rootfs": rootfs})
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    blobs = {sha256(blob).hexdigest(): blob for blob in (layer, config, manifest)}
    return Image(sha256(manifest).hexdigest(), len(manifest), blobs)


def layout(images: Mapping[str, Image]) -> dict[str, bytes]:
    """The files of an OCI image layout with these images, by their tags."""
    manifests = [
        {
            "mediaType": _MANIFEST,
            "digest": f"sha256:{image.digest}",
            "size": image.size,
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }
        for tag, image in images.items()
    ]
    return {
        **{f"blobs/sha256/{name}": blob for image in images.values() for name, blob in image.blobs.items()},
        "index.json": _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}),
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
    }


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
