"""What a process has used so far, by proc(5)."""

from pathlib import Path


def cpu_ms(pid: int | str = "self") -> float:
    """CPU time of all its threads that are alive, in ms; to the ns, where /proc/PID/stat counts in steps of 10 ms."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def written_bytes(pid: int | str = "self") -> int:
    """Bytes it has handed to the disk; nothing on a tmpfs counts."""
    counters = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counters["write_bytes"])
