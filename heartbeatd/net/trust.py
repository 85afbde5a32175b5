"""Whom TLS believes: the system's authorities, and those in a file of the user's."""

import os
import ssl
from pathlib import Path

from heartbeatd.errors import ConfigError, Problem
from heartbeatd.files import require_regular


def trusting(ca_file: str = "") -> ssl.SSLContext:
    """A context that checks certificates and names. Raises ConfigError if `ca_file` cannot be used.

    The system's authorities are looked up by their hashes as they are needed: to read all of them takes 40 ms and 1 MiB.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # whatever openssl.cnf says
    paths = ssl.get_default_verify_paths()
    if paths.capath and paths.openssl_cafile_env not in os.environ:
        context.load_verify_locations(capath=paths.capath)
    else:
        context.load_default_certs()
    if ca_file:
        try:
            require_regular(Path(ca_file))
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError among it
            reason = error.strerror or str(error)
            hint = "it should be a PEM file of certificate authorities"
            raise ConfigError(Problem("heartbeat.ca_file", f"{ca_file}: {reason}", hint)) from None
    return context
