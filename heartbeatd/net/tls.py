"""Whom TLS believes: the system's authorities, and those in a file of the user's."""

import os
import ssl
from pathlib import Path

from heartbeatd.errors import ConfigError, Problem
from heartbeatd.files import NotRegularFile, require_regular


def create_ssl_context(ca_file: str = "") -> ssl.SSLContext:
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
        trust_too(context, ca_file, "heartbeat.ca_file", "heartbeat")
    return context


def trust_too(context: ssl.SSLContext, ca_file: str, setting: str, user: str) -> None:
    """Have the context trust the authorities in `ca_file`, too. Raises ConfigError, naming the `setting`, if `user` cannot."""
    try:
        require_regular(Path(ca_file))
        context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError among it
        # A name that leads nowhere is not repeated: it may be a secret, put into the wrong setting.
        there = isinstance(error, NotRegularFile | PermissionError | ssl.SSLError)
        named = ca_file if there else "the file it names"
        kind = (
            "PEM file of certificate authorities"
            if isinstance(error, ssl.SSLError)
            else f"file that the user {user} can read"
        )
        raise ConfigError(Problem(setting, f"{named}: {error.strerror or error}", f"it should be a {kind}")) from None
