"""Certificates of an authority of our own, made by openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


class Authority:
    """Signs certificates; `file` is what those trust who trust it."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("there is no openssl to make certificates with")
        self._folder = folder
        self.file = folder / "authority.pem"
        self._key = folder / "authority.key"
        usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        self._run("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.file, *usage, *_SUBJECT, "-days", "30")

    def sign(self, name: str, *, days: int = 30) -> ssl.SSLContext:
        """Return what a server serves TLS with: a certificate for `name`, such as `DNS:localhost`.

        With negative `days` it has expired.
        """
        stem = name.replace(":", "-")
        key, request, certificate = (self._folder / f"{stem}.{end}" for end in ("key", "csr", "pem"))
        extensions = self._folder / f"{stem}.cnf"
        extensions.write_text(f"subjectAltName={name}\nbasicConstraints=CA:FALSE\n", encoding="ascii")
        self._run("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", "/CN=server")
        signing = ["-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions, "-days", days]
        self._run("x509", "-req", "-in", request, "-out", certificate, *signing)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _run(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_SUBJECT = ("-subj", "/CN=feefifod tests")
