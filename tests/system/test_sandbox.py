"""What somebody who has taken over the agent can do: nothing to root, nothing that stays, nothing beyond the sandbox."""

import json
from collections.abc import Iterator

import pytest

from tests.system.conftest import MEASURE_ONLY, configure, exposure, wait_active
from tests.system.host import BootedHost

UNITS = (
    "heartbeatd.service",
    "heartbeatd-failed.service",
    "heartbeatd-containers.service",
    "heartbeatd-failed-bare.service",
)
DROP_INS = "/run/systemd/system/{}.d"
HOME = "/var/lib/heartbeat"
RAN = f"{HOME}/ran"

# Run in a unit's sandbox: what each attempt comes to, as JSON.
ATTEMPTS = r"""
import ctypes, errno, json, os, shutil, socket, subprocess

libc = ctypes.CDLL(None, use_errno=True)

def call(number, *words):
    if libc.syscall(number, *words) < 0:
        raise OSError(ctypes.get_errno(), "")

def listen():
    with socket.socket() as server:
        server.listen()

def listen_unix():
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0heartbeatd-test")
        server.listen()

def run_in(folder):
    file = f"{folder}/planted"
    shutil.copyfile("/bin/true", file)
    os.chmod(file, 0o755)
    try:
        subprocess.run([file], check=True)
    finally:
        os.unlink(file)

SYSCALLS = {"x86_64": (425, 323), "aarch64": (425, 282)}[os.uname().machine]
tries = {
    "listen": listen,
    "listen_unix": listen_unix,
    "accept": lambda: call({"x86_64": 43, "aarch64": 202}[os.uname().machine], 0, None, None),
    "io_uring": lambda: call(SYSCALLS[0], 1, ctypes.create_string_buffer(120)),
    "userfaultfd": lambda: call(SYSCALLS[1], 1),
    "run_in_state": lambda: run_in("/var/lib/heartbeat"),
    "run_in_tmp": lambda: run_in("/tmp"),
    "run_in_shm": lambda: run_in("/dev/shm"),
    "run_user": lambda: os.listdir("/run/user"),
    "root_home": lambda: os.listdir("/root"),
}
came_to = {}
for name, attempt in tries.items():
    try:
        attempt()
        came_to[name] = "ok"
    except OSError as error:
        came_to[name] = errno.errorcode.get(error.errno, "?")
print("CAME TO " + json.dumps(came_to), flush=True)
"""


def inside(host: BootedHost, unit: str, script: str) -> dict[str, str]:
    """What the script prints after CAME TO, run in place of the unit's program, as its user and in its sandbox."""
    host.path("/srv").mkdir(exist_ok=True)
    host.path("/srv/attempts.py").write_text(script)
    folder = DROP_INS.format(unit)
    host.run(f"mkdir -p {folder}")
    # /srv is out of some units' sight.
    host.run("install -m 644 /srv/attempts.py /usr/local/lib/attempts.py")
    lines = (
        "Type=oneshot",
        "Restart=no",
        "LogLevelMax=info",
        "ExecStart=",
        "ExecStart=/usr/bin/python3 -I /usr/local/lib/attempts.py",
    )
    host.path(f"{folder}/test.conf").write_text("[Service]\n" + "\n".join(lines) + "\n")
    host.run(f"systemctl daemon-reload; systemctl start {unit}")
    found = [line for line in host.journal(f"--unit={unit}", "--output=cat").splitlines() if "CAME TO " in line]
    host.run(f"rm -r {folder} /usr/local/lib/attempts.py; systemctl daemon-reload; systemctl stop {unit}")
    come_to: dict[str, str] = json.loads(found[-1].partition("CAME TO ")[2])
    return come_to


@pytest.mark.parametrize("unit", (*UNITS[:2], *UNITS[3:]))
def test_it_is_nobodys_server_and_nothing_planted_runs(installed: BootedHost, unit: str) -> None:
    """No listening, no io_uring, no userfaultfd in agent and fallbacks; nothing to execute where agent and fallback can write.

    The bare fallbacks may execute what they can: their sandbox has to do without mounts.
    """
    came_to = inside(installed, unit, ATTEMPTS)
    if unit in UNITS[:2]:
        assert {name for name, how in came_to.items() if how == "ok"} == set()
    refused = {name: came_to[name] for name in ("listen", "listen_unix", "accept", "io_uring", "userfaultfd")}
    assert set(refused.values()) == {"EPERM"}


LINGER = """
import subprocess
done = subprocess.run(["loginctl", "enable-linger", "heartbeat"], capture_output=True, text=True)
status = [line for line in open("/proc/self/status") if line.startswith("NoNewPrivs")]
print('CAME TO {"linger": "%d", "no_new_privileges": "%s"}' % (done.returncode, status[0].split()[1]), flush=True)
"""


def test_logind_makes_no_user_manager_for_us(installed: BootedHost) -> None:
    """Where polkit is installed, any user may ask to linger; ours may not, from any unit, namespaces or none."""
    installed.run("apt-get update -qq && apt-get install --yes --no-install-recommends polkitd", timeout_s=300)
    installed.run("systemctl start polkit systemd-logind")
    rule, flag = "/usr/share/polkit-1/rules.d/10-heartbeatd.rules", "/var/lib/systemd/linger/heartbeat"
    for unit in UNITS:
        assert inside(installed, unit, LINGER)["no_new_privileges"] == "1"
        assert not installed.path(flag).exists()
    installed.run(f"mv {rule} /srv/rule; systemctl restart polkit")
    assert inside(installed, UNITS[3], LINGER)["linger"] == "0"  # that it is the rule
    assert installed.path(flag).exists()
    installed.run(f"mv /srv/rule {rule}; rm {flag}; systemctl restart polkit systemd-logind")  # which forgets it then
    stop = "systemctl stop user@$(id -u heartbeat).service; pgrep --euid heartbeat"
    installed.wait_for("its manager is gone", lambda: not installed.run(stop, check=False).stdout)


@pytest.mark.parametrize(("unit", "at_most"), [(UNITS[1], 1.1), (UNITS[3], 3.0)])
def test_the_fallbacks_are_confined(installed: BootedHost, unit: str, at_most: float) -> None:
    """The one that runs first as well as the agent, the other as well as that can be without namespaces."""
    assert exposure(installed, unit) <= at_most


def test_the_reader_of_containers_opens_no_socket_of_its_own(installed: BootedHost) -> None:
    """It may take who comes to the socket it is handed, and no more."""
    came_to = inside(installed, UNITS[2], ATTEMPTS)
    assert {name for name, how in came_to.items() if how == "ok"} == set()
    assert {came_to[name] for name in ("listen_unix", "io_uring", "userfaultfd")} == {"EPERM"}


@pytest.fixture
def planted(installed: BootedHost) -> Iterator[BootedHost]:
    """A host from version 0.1, where the agent has a home, and has left start files for Python in it from within its sandbox."""
    installed.run(f"usermod --home {HOME} heartbeat")
    plant = (
        "import os, site\n"
        f"folder = '{HOME}/.local/lib/' + site.getusersitepackages().split('/lib/')[-1]\n"
        "os.makedirs(folder, exist_ok=True)\n"
        f"open(folder + '/evil.pth', 'w').write('import os; open(\"{RAN}\", \"a\").write(str(os.getuid()))\\n')\n"
        f"open('{HOME}/sitecustomize.py', 'w').write('open(\"{RAN}\", \"a\").write(\"customized\")\\n')\n"
        f"open('{HOME}/json.py', 'w').write('open(\"{RAN}\", \"a\").write(\"imported\")\\n')\n"
    )
    installed.path("/usr/local/lib/plant.py").write_text(plant)
    folder = DROP_INS.format("heartbeatd.service")
    installed.run(f"mkdir -p {folder}")
    drop_in = f"[Service]\nExecStartPre=/usr/bin/python3 -I /usr/local/lib/plant.py\nEnvironment=PYTHONPATH={HOME}\n"
    installed.path(f"{folder}/test.conf").write_text(drop_in)
    configure(installed, MEASURE_ONLY)
    installed.run("systemctl daemon-reload; systemctl restart heartbeatd")
    wait_active(installed)
    yield installed
    installed.run(f"systemctl stop heartbeatd; rm -rf {folder} {HOME}/* {HOME}/.local; systemctl daemon-reload")
    installed.run("usermod --home /nonexistent heartbeat")


def test_nothing_of_ours_runs_what_the_agent_has_planted(planted: BootedHost) -> None:
    """Start, reload, restart, and root's own heartbeatctl, whatever its home, folder and environment: no planted line runs."""
    seen = f"if [ -e {RAN} ]; then cat {RAN}; fi"
    # That the plant is a live one: any other Python with that home takes it.
    planted.run(f"HOME={HOME} setpriv --reuid=heartbeat --regid=heartbeat --clear-groups python3 -c pass")
    assert planted.out(seen) != ""
    planted.run(f"rm {RAN}")
    planted.run("systemctl reload heartbeatd; systemctl restart heartbeatd")
    planted.run(
        f"cd {HOME}; export HOME={HOME} PYTHONPATH={HOME} PYTHONSTARTUP={HOME}/json.py; heartbeatctl check --offline"
    )
    planted.run(
        f"cd {HOME}; export HOME={HOME} PYTHONPATH={HOME}; heartbeatctl status; heartbeatd --version", check=False
    )
    planted.run("systemctl start heartbeatd-failed; systemctl stop heartbeatd")
    looks = "systemctl is-active heartbeatd-failed"
    planted.wait_for("the end of its look", lambda: planted.run(looks, check=False).stdout == "inactive\n")
    assert planted.out(seen) == ""


def test_a_reload_needs_no_root(installed: BootedHost) -> None:
    """No line of any of our units is run with more rights than the unit's own, as `+`, `!` and `!!` would have it."""
    for unit in UNITS:
        lines = [line for line in installed.out(f"systemctl cat {unit}").splitlines() if line.startswith("Exec")]
        assert lines
        assert [line for line in lines if line.partition("=")[2].lstrip("-@:").startswith(("+", "!"))] == []
        python = [line for line in lines if "python" in line]
        assert all(" -I" in line for line in python)
