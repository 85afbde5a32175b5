"""What a process has used so far, by proc(5)."""

from pathlib import Path


def cpu_ms(pid: int | str = "self") -> float:
    """CPU time of all its threads that are alive, in ms; to the ns, where /proc/PID/stat counts in steps of 10 ms."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def written_bytes(pid: int | str = "self") -> int:
    """Bytes it has handed to the disk; nothing on a tmpfs counts."""
    return fields(Path(f"/proc/{pid}/io"))["write_bytes"]


def fields(file: Path) -> dict[str, int]:
    """The `Name: 12 unit` lines of a file of proc(5); other lines are left out."""
    found = {}
    for line in file.read_text().splitlines():
        name, _, value = line.partition(":")
        if (words := value.split()) and words[0].isdecimal():
            found[name] = int(words[0])
    return found
