"""Certificates for the tests' TLS servers, made by openssl(1): good ones, and one of each kind of bad one."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CA = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of our own, in a folder; `file` is what `heartbeat.ca_file` would name."""

    folder: Path

    @property
    def file(self) -> Path:
        """The authority's certificate, PEM."""
        return self.folder / "ca.pem"

    def server(self, name: str, *, san: str = "IP:127.0.0.1,DNS:localhost", expired: bool = False) -> ssl.SSLContext:
        """A server's TLS context with a certificate for `san`, expired or not."""
        key, request, certificate = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        _openssl(f"req -newkey rsa:2048 -nodes -keyout {key} -out {request} -subj /CN={name}")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={san}\n")
        # Not `openssl x509`: that of Debian 12 takes no dates.
        database = self.folder / f"{name}.db"
        database.mkdir()
        (database / "index").touch()
        (database / "config").write_text(
            f"[ca]\ndefault_ca=x\n[x]\ndatabase={database}/index\nnew_certs_dir={database}\nrand_serial=yes\n"
            "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        start, end = ("20200101000000Z", "20200201000000Z") if expired else ("20200101000000Z", "20991231235959Z")
        _openssl(
            f"ca -batch -notext -config {database}/config -in {request} -out {certificate} -cert {self.file} "
            f"-keyfile {self.folder}/ca.key -extfile {extensions} -startdate {start} -enddate {end}"
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


def make(folder: Path) -> Authority:
    """A new authority in `folder`."""
    _openssl(f"req -x509 -newkey rsa:2048 -nodes -keyout {folder}/ca.key -out {folder}/ca.pem -subj /CN=ours {_CA}")
    return Authority(folder)


def _openssl(arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
