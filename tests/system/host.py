"""A throw-away Debian, booted: systemd as PID 1 over a base tree, in a second or two, with this machine's network.

Nothing is simulated, and nothing stays: what is written goes to an overlay that is deleted with the host. The network is
shared, so servers on this machine's loopback are reachable from inside.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.system.tree import PACKAGES, Tree

ENVIRONMENT = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
# This machine may have no systemd to register with; and a mounted /etc/localtime would be too busy for tzdata to replace.
NSPAWN = ("--quiet", "--boot", "--register=no", "--keep-unit", "--resolv-conf=replace-host", "--timezone=off")
BOOT_TIMEOUT_S = 180
# Where this machine has its control groups: the v2 tree, and beside version 1 the tree that systemd itself uses.
CGROUP_TREES = tuple(
    tree
    for tree in map(Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"))
    if (tree / "cgroup.procs").exists()
)
# systemd.exec(5): told to systemd as PID 1, it is `systemctl poweroff`.
SIG_POWEROFF = signal.SIGRTMIN + 4


class BootedHost:
    """A booted Debian of one suite, from entering the `with` block to leaving it.

    `binds` are files of this machine to be seen there, `HERE:THERE`; `packages` are what is installed.
    """

    def __init__(self, suite: str, binds: Sequence[str] = (), packages: Sequence[str] = PACKAGES) -> None:
        self.suite, self._binds, self._packages = suite, binds, packages
        self.name = f"hb-{suite}-{uuid.uuid4().hex[:8]}"
        self._leader = 0
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._boot()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cleanup.close()

    def run(self, command: str, *, timeout_s: float = 180, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root on the host; its output is text, standard error apart.

        Raises AssertionError with all it printed if it fails (unless `check` is False) or takes longer than `timeout_s`.
        """
        done = subprocess.run(
            # Killing nsenter would leave the command behind: the time limit is inside.
            [*self._nsenter(), "timeout", "--kill-after=5", str(timeout_s), "sh", "-ec", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s + 30,
            check=False,
        )
        if check or done.returncode == 124:
            assert done.returncode == 0, f"{self.name}: {command}\nexit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def out(self, command: str, *, timeout_s: float = 180) -> str:
        """What a command prints, without the last newline."""
        return self.run(command, timeout_s=timeout_s).stdout.rstrip("\n")

    def path(self, inside: str) -> Path:
        """Where a file of the host is seen from here."""
        return Path(f"/proc/{self._leader}/root") / inside.lstrip("/")

    def wait_for(self, what: str, true: Callable[[], object], *, timeout_s: float = 60) -> None:
        """Wait until `true()` is. Raises AssertionError, naming `what` and quoting the journal's end, if it does not come."""
        deadline = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: not within {timeout_s} s: {what}\n{self.journal('-n', '40')}")
            time.sleep(0.1)

    def journal(self, *options: str) -> str:
        """Lines of the journal, by options of journalctl(1)."""
        return self.out(f"journalctl --no-pager --quiet {' '.join(options)}")

    def power_cut(self) -> None:
        """Everything stops dead. What was written is kept: this is a crash, not a lost disk cache."""
        os.kill(self._leader, signal.SIGKILL)  # PID 1, and so, by the kernel, all there is
        self._nspawn.wait()

    def boot_again(self, *, young: bool = False) -> None:
        """Boot what was powered off or cut off, with what it had written. If `young`, its kernel seems to have been started now.

        A kernel that was started now, without a clock of its own, has a wall clock that is not believed for a while.
        """
        uptime_s = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        self._start(*(("unshare", "--time", f"--boottime=-{uptime_s}") if young else ()))

    def power_off(self) -> None:
        """Shut down in good order; by force if that takes longer than systemd itself waits for a service."""
        if self._leader:
            with suppress(ProcessLookupError):
                os.kill(self._leader, SIG_POWEROFF)
        try:
            self._nspawn.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()  # and its PID 1 with it: nspawn asks the kernel for that
            self._nspawn.wait()

    def _nsenter(self) -> list[str]:
        return ["nsenter", "--target", str(self._leader), "--all", "env", "--ignore-environment", *ENVIRONMENT]

    def _boot(self) -> None:
        tree = Tree(self.suite, self._packages)
        self._cleanup.callback(tree.close)
        folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._cleanup.callback(shutil.rmtree, folder)
        root = self._mount(tree.path, folder)
        (root / "etc/hostname").write_text(f"{self.name}\n")
        # As Debian's installer writes it; the smallest of chroots has none.
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n::1 localhost ip6-localhost\n")
        # No power cut is as sudden as the end of this host: dpkg need not wait for the disk.
        (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
        self._root, self._console = root, folder / "console"
        self._cleanup.callback(self._remove_control_groups)
        self._cleanup.callback(self.power_off)
        self._start()

    def _start(self, *prefix: str) -> None:
        self._leader = 0
        groups = self._make_control_groups()
        with self._console.open("wb") as output:
            self._nspawn = subprocess.Popen(
                [
                    *(
                        "sh",
                        "-ec",
                        'for group in $0; do echo $$ >"$group/cgroup.procs"; done; exec "$@"',
                        " ".join(groups),
                    ),
                    *prefix,
                    *("systemd-nspawn", f"--directory={self._root}", f"--machine={self.name}", *NSPAWN),
                    *(f"--bind={bind}" for bind in self._binds),
                ],
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for pytest, which then powers off.
                start_new_session=True,
            )
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while not self._up():
            if self._nspawn.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not boot:\n{self._console.read_text(errors='replace')}")
            time.sleep(0.1)

    def _make_control_groups(self) -> list[str]:
        """Control groups of this host alone: --keep-unit has it manage those it is started in, and two would fight over them."""
        groups = [tree / self.name for tree in CGROUP_TREES]
        for group in groups:
            group.mkdir(exist_ok=True)
        return [str(group) for group in groups]

    def _remove_control_groups(self) -> None:
        """From the leaves up, since a group that has others below it cannot be removed."""
        for tree in CGROUP_TREES:
            for folder, _, _ in os.walk(tree / self.name, topdown=False):
                with suppress(OSError):  # the kernel still counts a process that has ended a moment ago
                    Path(folder).rmdir()

    def _mount(self, tree: Path, folder: Path) -> Path:
        upper, work, root = folder / "upper", folder / "work", folder / "root"
        for new in (upper, work, root):
            new.mkdir()
        options = f"lowerdir={tree},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
        self._cleanup.callback(subprocess.run, ["umount", "--lazy", str(root)], check=True)
        return root

    def _up(self) -> bool:
        """True when systemd has finished booting. `degraded` would be a failed unit of Debian's own: not our host."""
        if not self._leader:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
            for child in children:
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    self._leader = int(child)
        if not self._leader:
            return False
        state = self.run("systemctl is-system-running", check=False).stdout.strip()
        if state == "degraded":
            raise RuntimeError(f"{self.name} is degraded:\n{self.out('systemctl --failed')}\n{self.journal()}")
        return state == "running"
