"""The host's own names, as they are now."""

from pathlib import Path
from socket import gethostname

from heartbeatd.core.hostname import HostNames, name_in_file
from heartbeatd.files import read_regular

HOSTNAME_FILE = Path("/etc/hostname")
LARGEST_BYTES = 4096


def host_names() -> HostNames:
    """What cannot be read is ""."""
    try:
        text = read_regular(HOSTNAME_FILE, LARGEST_BYTES).decode(errors="replace")
    except OSError:
        text = ""
    return HostNames(gethostname(), name_in_file(text))
