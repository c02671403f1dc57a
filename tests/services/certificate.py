"""A certificate for 127.0.0.1 that is its own authority, made by Go's own program."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.unit.binary.gobuilds import toolchain


@dataclass(frozen=True)
class Certificate:
    """Files in PEM."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a server."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.certificate, self.key)
        return made


def make_certificate(folder: Path) -> Certificate:
    """Makes it in ``folder``."""
    go = toolchain("1.26")
    maker = go.goroot / "src" / "crypto" / "tls" / "generate_cert.go"
    command = [go.go, "run", maker, "--host", "127.0.0.1", "--ca", "--ecdsa-curve", "P256"]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=folder, env=go.environment())
    return Certificate(folder / "cert.pem", folder / "key.pem")
