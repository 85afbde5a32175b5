"""What to do about a file that should be readable."""

from pathlib import Path


def reading_hint(error: OSError, path: Path) -> str:
    if not isinstance(error, PermissionError):
        return "it should be a readable file"
    import grp

    right = "root and the group heartbeat may read it"
    try:
        found = path.stat()
        as_shipped = found.st_uid == 0 and found.st_mode & 0o040 and grp.getgrgid(found.st_gid).gr_name == "heartbeat"
    except OSError:
        return f"run this with sudo; {right}, if every folder on the way to it lets them"
    except KeyError:  # a group without a name
        as_shipped = 0
    if as_shipped:
        return f"only {right}: run this with sudo"
    return f"see to it that {right}: chown root:heartbeat {path}; chmod 640 {path}"
