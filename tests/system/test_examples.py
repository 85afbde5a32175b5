"""The drop-ins and units among the examples, installed by the package and taken by a real systemd."""

import contextlib
import re
from collections.abc import Iterator

import pytest

from tests.system.conftest import MEASURE_ONLY, configure, state, wait_active
from tests.system.host import BootedHost

EXAMPLES = "/usr/share/doc/heartbeatd/examples"
UNIT = "heartbeatd.service"
# As LXCFS does it: /proc/meminfo of a container with a million kB, three quarters of them in use.
MEMINFO = "MemTotal: 1000000 kB\nMemFree: 250000 kB\nMemAvailable: 250000 kB\nBuffers: 0 kB\nCached: 0 kB\n"
RAM_PERCENT = "75.0"
DATABASE = "/var/lib/heartbeat/metrics.db"


def test_every_example_is_installed(installed: BootedHost) -> None:
    """The package brings every file of debian/examples, as it is and not compressed."""
    files = installed.out(f"cd {EXAMPLES} && find . -type f | sort").split()
    assert files == [
        "./README",
        "./n8n/heartbeat.json",
        "./several-hosts/config.toml",
        "./systemd/heartbeatd-maintenance.service",
        "./systemd/heartbeatd-maintenance.timer",
        "./systemd/lxc-no-nesting.conf",
        "./systemd/lxc.conf",
        "./systemd/no-user-namespaces.conf",
        "./systemd/pinned-addresses.conf",
        "./systemd/realtime.conf",
        "./systemd/storage-elsewhere.conf",
        "./systemd/without-credentials.conf",
        "./worker/schema.sql",
        "./worker/worker.js",
        "./worker/wrangler.toml",
    ]


@pytest.mark.parametrize(
    ("name", "exposure"),
    [
        ("pinned-addresses", 1.0),
        ("lxc", 1.6),
        ("realtime", 1.1),
        ("no-user-namespaces", 1.3),
        ("lxc-no-nesting", 4.0),
        ("storage-elsewhere", 1.1),
        ("without-credentials", 1.1),
    ],
)
def test_a_drop_in_is_valid_where_its_first_line_says(installed: BootedHost, name: str, exposure: float) -> None:
    """systemd has nothing to remark on unit and drop-in together, and rates the exposure at no more than so much of 10."""
    with drop_in(installed, name):
        verified = installed.run(f"systemd-analyze verify --man=no {UNIT}")
        rated = installed.out(f"systemd-analyze security {UNIT}")
    assert verified.stdout + verified.stderr == ""
    (line,) = [line for line in rated.splitlines() if "Overall exposure" in line]
    assert float(line.split(": ")[1].split()[0]) <= exposure


@pytest.mark.parametrize(
    ("name", "namespaces"),
    [("no-user-namespaces", ("user",)), ("lxc-no-nesting", ("user", "mnt", "ipc", "uts", "net"))],
)
def test_without_namespaces_the_agent_needs_none(installed: BootedHost, name: str, namespaces: tuple[str, ...]) -> None:
    """With the drop-in for where such cannot be had, the agent runs in those of PID 1."""
    configure(installed, MEASURE_ONLY)
    with drop_in(installed, name):
        installed.run("systemctl restart heartbeatd")
        wait_active(installed)
        pid = state(installed, "MainPID")
        for kind in namespaces:
            assert installed.out(f"readlink /proc/{pid}/ns/{kind}") == installed.out(f"readlink /proc/1/ns/{kind}")
        installed.run("systemctl stop heartbeatd")


def test_a_folder_elsewhere_may_be_missing(installed: BootedHost) -> None:
    """With storage-elsewhere.conf the agent starts without the folder, and writes into it when it is there."""
    configure(installed, MEASURE_ONLY + '[storage]\npath = "/srv/heartbeat/metrics.db"\n')
    with drop_in(installed, "storage-elsewhere"):
        installed.run("systemctl restart heartbeatd")
        wait_active(installed)
        installed.run("systemctl stop heartbeatd; install -d -o heartbeat -g heartbeat -m 700 /srv/heartbeat")
        installed.run("systemctl start heartbeatd")
        installed.wait_for("the database", lambda: installed.path("/srv/heartbeat/metrics.db").exists())
        installed.run("systemctl stop heartbeatd; rm -r /srv/heartbeat")


def test_without_credentials_it_starts_all_the_same(installed: BootedHost) -> None:
    """A credential that cannot be decrypted keeps the service from starting; with without-credentials.conf it does not."""
    configure(installed, MEASURE_ONLY)
    broken = "/etc/credstore.encrypted/heartbeat.secret_key"
    installed.run(f"mkdir -p -m 700 /etc/credstore.encrypted; echo rubbish > {broken}")
    assert installed.run("systemctl restart heartbeatd", check=False).returncode != 0
    assert state(installed, "ExecMainStatus") == "243"
    with drop_in(installed, "without-credentials"):
        installed.run("systemctl restart heartbeatd")
        wait_active(installed)
        installed.run(f"systemctl stop heartbeatd; rm {broken}")


def test_pinned_addresses_are_all_that_is_allowed(installed: BootedHost) -> None:
    """With pinned-addresses.conf every address is denied but this host's own and those that are named."""
    with drop_in(installed, "pinned-addresses"):
        denied, allowed = (set(state(installed, f"IPAddress{what}").split()) for what in ("Deny", "Allow"))
    assert denied == {"0.0.0.0/0", "::/0"}
    assert allowed == {"127.0.0.0/8", "::1/128", "192.0.2.53/32", "198.51.100.0/24", "2001:db8:1::/48"}


def test_realtime_puts_every_thread_into_the_real_time_class(installed: BootedHost) -> None:
    """With realtime.conf the agent runs cycles in SCHED_RR, sandbox and all."""
    configure(installed, MEASURE_ONLY)
    with drop_in(installed, "realtime"):
        installed.run(f"rm -f {DATABASE}*; systemctl start heartbeatd")
        try:
            wait_active(installed)
            rows = f"sqlite3 -readonly {DATABASE} 'SELECT count(*) FROM metrics'"
            installed.wait_for("two rows", lambda: installed.run(rows, check=False).stdout.strip() >= "2")
            said = installed.out(f"chrt --all-tasks --pid {state(installed, 'MainPID')}")
            assert len(re.findall(r"policy: SCHED_RR", said)) == len(re.findall(r"policy: ", said)) >= 2
        finally:
            installed.run("systemctl stop heartbeatd")


def test_lxc_conf_shows_the_container_its_own_memory(installed: BootedHost) -> None:
    """Under LXCFS the agent measures the container. On Debian 12 that takes lxc.conf and every line of it, on 13 nothing."""
    configure(installed, MEASURE_ONLY)
    installed.path("/root/meminfo").write_text(MEMINFO)
    installed.run("mount --bind /root/meminfo /proc/meminfo")
    try:
        measured = [ram_percent(installed)]
        with drop_in(installed, "lxc") as text:
            assert ram_percent(installed) == RAM_PERCENT
            settings = [line for line in text.splitlines() if re.match(r"\w+=", line)]
        for setting in settings:
            with drop_in(installed, "lxc", without=setting):
                measured.append(ram_percent(installed))
    finally:
        installed.run("systemctl stop heartbeatd; umount /proc/meminfo")
    assert len(measured) == 4
    if installed.suite == "bookworm":
        assert RAM_PERCENT not in measured
    else:
        assert set(measured) == {RAM_PERCENT}


def test_a_maintenance_window(installed: BootedHost) -> None:
    """Its timer elapses on a Sunday at three; what it starts silences everything for two hours, and leaves nothing behind."""
    configure(installed, MEASURE_ONLY)
    installed.run("systemctl start heartbeatd")
    wait_active(installed)
    installed.run(f"cp {EXAMPLES}/systemd/heartbeatd-maintenance.* /etc/systemd/system/ && systemctl daemon-reload")
    units = "heartbeatd-maintenance.timer heartbeatd-maintenance.service"
    verified = installed.run(f"systemd-analyze verify --man=no {units}")
    assert verified.stdout + verified.stderr == ""
    installed.run("systemctl enable --now heartbeatd-maintenance.timer")
    shown = "systemctl show --property=NextElapseUSecRealtime --value heartbeatd-maintenance.timer"
    assert re.fullmatch(r"Sun \S+ 03:00:00 \w+", installed.out(shown))
    installed.run("systemctl start heartbeatd-maintenance.service")
    assert "* until " in installed.out("heartbeatctl silences")
    assert "maintenance window" in installed.out("heartbeatctl silences")
    assert state_of(installed, "heartbeatd-maintenance.service") == "inactive"
    installed.run("heartbeatctl unsilence all && systemctl disable --now heartbeatd-maintenance.timer")
    installed.run(
        "systemctl stop heartbeatd; rm /etc/systemd/system/heartbeatd-maintenance.* && systemctl daemon-reload"
    )


def state_of(host: BootedHost, unit: str) -> str:
    """Of any unit."""
    return host.out(f"systemctl show --property=ActiveState --value {unit}")


@contextlib.contextmanager
def drop_in(host: BootedHost, name: str, without: str = "") -> Iterator[str]:
    """The example where its first line says, less one of its lines; its text. Afterwards it is taken away again."""
    text = host.path(f"{EXAMPLES}/systemd/{name}.conf").read_text()
    (target,) = re.findall(r"\A# (/\S+\.conf): ", text)
    host.path(target).parent.mkdir(parents=True, exist_ok=True)
    host.path(target).write_text(text.replace(f"\n{without}\n", "\n") if without else text)
    host.run("systemctl daemon-reload")
    try:
        yield text
    finally:
        host.run(f"rm {target} && systemctl daemon-reload")


def ram_percent(host: BootedHost) -> str:
    """What a restarted agent measures in its first cycle."""
    host.run(f"systemctl stop heartbeatd; rm -f {DATABASE}*; systemctl start heartbeatd")
    wait_active(host)
    ask = f"sqlite3 -readonly {DATABASE} 'SELECT ram_percent FROM metrics LIMIT 1'"
    host.wait_for("a row", lambda: host.run(ask, check=False).stdout.strip())
    return host.out(ask)
