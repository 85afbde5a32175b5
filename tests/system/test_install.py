"""The package's life on a real Debian: install, upgrade, remove, purge."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.conftest import (
    CHECKOUT,
    MEASURE_ONLY,
    configure,
    exposure,
    install,
    repacked,
    reporting,
    state,
    wait_active,
)
from tests.system.host import BootedHost

CONFIG = "/etc/heartbeat/config.toml"
DATABASE = "/var/lib/heartbeat/metrics.db"
MODULES = "/usr/share/heartbeatd"


def test_apt_pulls_only_debian_packages(host: BootedHost, package: Path) -> None:
    """All that `apt install ./heartbeatd.deb` brings along comes from Debian's own archive."""
    host.path("/srv/deb").mkdir(parents=True)
    host.path(f"/srv/deb/{package.name}").write_bytes(package.read_bytes())
    plan = host.out(f"apt-get install --simulate /srv/deb/{package.name}")
    brought = [
        line for line in plan.splitlines() if line.startswith("Inst ") and not line.startswith("Inst heartbeatd ")
    ]
    assert any("python3-psutil" in line for line in brought)
    assert [line for line in brought if " Debian:" not in line and " Debian-Security:" not in line] == []


def test_installing_starts_nothing(host: BootedHost, package: Path) -> None:
    """After the installation the service is there, disabled and not running."""
    said = install(host, package)
    assert "warning" not in said.lower()
    assert host.run("systemctl is-enabled heartbeatd", check=False).stdout == "disabled\n"
    assert state(host, "ActiveState") == "inactive"
    assert state(host, "LoadState") == "loaded"
    assert not host.path("/var/lib/heartbeat").exists()


def test_the_modules_are_private(host: BootedHost) -> None:
    """No other program can import them; each is compiled once, when the package is installed, and belongs to root."""
    refused = host.run("cd / && python3 -c 'import heartbeatd'", check=False)
    assert "ModuleNotFoundError" in refused.stderr
    for command in ("heartbeatd", "heartbeatctl"):
        assert host.out(f"cd {MODULES} && {command} --version").startswith(command)
    modules = host.out(f"find {MODULES} -name '*.py' | wc -l")
    assert host.out(f"find {MODULES} -name '*.pyc' -user root | wc -l") == modules != "0"


def test_the_user_comes_from_sysusers(host: BootedHost) -> None:
    """The system user heartbeat exists as sysusers.d describes it, without a shell or a home and in no other group."""
    passwd = host.out("getent passwd heartbeat").split(":")
    assert passwd[4:] == ["heartbeatd host agent", "/nonexistent", "/usr/sbin/nologin"]
    assert home(host, "heartbeat-containers") == "/nonexistent"
    assert 0 < int(passwd[2]) < 1000
    assert host.out("id --groups --name heartbeat") == "heartbeat"
    assert "u heartbeat" in host.path("/usr/lib/sysusers.d/heartbeatd.conf").read_text()


def test_the_configuration_is_a_conffile_that_others_cannot_read(host: BootedHost) -> None:
    """/etc/heartbeat/config.toml is a conffile, root:heartbeat 0640; the user heartbeat can read it, nobody cannot."""
    assert host.out(f"stat --format='%U:%G %a' {CONFIG}") == "root:heartbeat 640"
    assert CONFIG in host.out("dpkg-query --show --showformat='${Conffiles}' heartbeatd")
    host.run(f"setpriv --reuid=heartbeat --regid=heartbeat --init-groups head -c1 {CONFIG}")
    assert host.run(f"setpriv --reuid=nobody --clear-groups head -c1 {CONFIG}", check=False).returncode != 0


def test_manuals_completion_and_catalog_are_there(host: BootedHost) -> None:
    """Each command and file has its manual page, bash completes both commands, and journalctl explains each message id."""
    files = host.out("dpkg --listfiles heartbeatd").splitlines()
    for page in (
        "man8/heartbeatd.8",
        "man1/heartbeatctl.1",
        "man5/heartbeat-config.toml.5",
        "man7/heartbeat-protocol.7",
    ):
        assert f"/usr/share/man/{page}.gz" in files
    for command in ("heartbeatd", "heartbeatctl"):
        assert f"/usr/share/bash-completion/completions/{command}" in files
    read = "from heartbeatd.journal import MessageId; print(*MessageId)"
    ids = host.out(f"PYTHONPATH={MODULES} python3 -c '{read}'").split()
    known = host.out("journalctl --list-catalog")
    assert len(ids) > 10
    assert [id_ for id_ in ids if id_ not in known] == []


def test_the_unit_is_valid_and_confined(host: BootedHost) -> None:
    """systemd finds nothing to remark in the unit, and rates its exposure at 1.1 of 10 at most."""
    verified = host.run("systemd-analyze verify --man=no heartbeatd.service")
    assert verified.stdout + verified.stderr == ""
    assert exposure(host) <= 1.1


def test_commands_say_their_version(host: BootedHost, package: Path) -> None:
    """Both commands know the version that the package has."""
    version = package.name.split("_")[1]
    assert host.out("heartbeatd --version") == f"heartbeatd {version}"
    assert host.out("heartbeatctl --version") == f"heartbeatctl {version}"


def test_the_shipped_configuration_runs(host: BootedHost) -> None:
    """With the file as shipped `check` finds no error, and the enabled service comes up, measures and says what is off."""
    host.run("heartbeatctl check --offline")
    host.run("systemctl enable --now heartbeatd")
    # Where there is no Docker, nobody asks, and what would answer is not even started.
    assert host.out("systemctl is-active heartbeatd-containers.socket") == "active"
    assert host.run("systemctl is-active heartbeatd-containers.service", check=False).stdout == "inactive\n"
    assert state(host, "ActiveState") == "active"
    assert "heartbeat.url: not set" in host.journal("--unit=heartbeatd")
    host.wait_for("a row", lambda: rows(host) > 0)
    assert host.out("stat --format='%U:%G %a' /var/lib/heartbeat") == "heartbeat:heartbeat 700"
    assert host.out("stat --format=%a /var/lib/heartbeat/metrics.db") == "600"


def test_an_upgrade_restarts_the_service_once_and_keeps_everything(
    host: BootedHost, package: Path, tmp_path: Path, receiver: Receiver
) -> None:
    """An upgrade under a running service asks nothing, restarts it once, keeps configuration and rows, announces nothing.

    The only slots without a row are those between the stop and the start.
    """
    text = reporting(receiver, "k")
    configure(host, text)
    host.run("systemctl restart heartbeatd")
    host.wait_for("heartbeats", lambda: len(receiver.received(WORKER)) >= 2)
    before, pid, cursor = rows(host), state(host, "MainPID"), journal_cursor(host)
    install(host, repacked(package, tmp_path, "9.0.0"))
    wait_active(host)
    assert state(host, "MainPID") != pid
    assert state(host, "NRestarts") == "0"
    host.wait_for("new rows", lambda: rows(host) > before + 2)
    assert host.path(CONFIG).read_text() == text
    assert host.out(f"stat --format='%U:%G %a' {CONFIG}") == "root:heartbeat 640"
    assert receiver.received(WEBHOOK) == []
    started = host.journal("--unit=heartbeatd", "_PID=1", f"--after-cursor='{cursor}'").count(": Started heartbeatd")
    assert started == 1
    stop_s, start_s = moment_s(host, "ActiveExitTimestamp"), moment_s(host, "ActiveEnterTimestamp")
    # A machine that does much else is late with a slot beside them.
    assert [slot for slot in missing(host, before) if not stop_s - 2 <= slot <= start_s + 2] == []


def test_an_upgrade_takes_the_homes_that_version_0_1_gave(host: BootedHost, package: Path, tmp_path: Path) -> None:
    """Enabled or only started, the service is stopped for that, and runs again; stopped, it stays so.

    What else runs as its user, out of every unit of ours, is ended, or usermod would refuse; and so is what starts it at boot.
    """
    escape = "trap : HUP INT TERM; while :; do sleep 1; done"
    for version, prepare, after in (
        ("9.0.1", "systemctl enable --now heartbeatd", "active"),
        ("9.0.2", "systemctl disable heartbeatd; systemctl start heartbeatd", "active"),
        ("9.0.3", "true", "inactive"),
    ):
        host.run("systemctl stop heartbeatd; usermod --home /var/lib/heartbeat heartbeat")
        host.run(f"usermod --home / heartbeat-containers; {prepare}")
        for user in ("heartbeat", "heartbeat-containers"):
            host.run(f"systemd-run --quiet --collect --uid={user} --unit=escaped-{user} sh -c '{escape}'")
        host.run("mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/heartbeat")
        cursor = journal_cursor(host)
        install(host, repacked(package, tmp_path, version))
        assert home(host, "heartbeat") == home(host, "heartbeat-containers") == "/nonexistent"
        assert host.run("systemctl is-active escaped-heartbeat escaped-heartbeat-containers", check=False).stdout == (
            "inactive\ninactive\n"
        )
        assert not host.path("/var/lib/systemd/linger/heartbeat").exists()
        assert state(host, "ActiveState") == after
        assert "Failed with" not in host.journal("--unit='heartbeatd*'", f"--after-cursor='{cursor}'")


def test_an_upgrade_does_not_start_what_was_stopped(host: BootedHost, package: Path, tmp_path: Path) -> None:
    """A service that was disabled and stopped is still that after an upgrade."""
    host.run("systemctl disable --now heartbeatd")
    install(host, repacked(package, tmp_path, "9.0.4"))
    assert host.run("systemctl is-enabled heartbeatd", check=False).stdout == "disabled\n"
    assert state(host, "ActiveState") == "inactive"


def test_a_configuration_that_nobody_changed_is_replaced(host: BootedHost, package: Path, tmp_path: Path) -> None:
    """config.toml as shipped becomes that of the later version, unasked, and stays root:heartbeat 0640."""
    shipped = (CHECKOUT / "etc/heartbeat/config.toml").read_text()
    configure(host, shipped)
    later = f"{shipped}# of a later version\n"
    install(host, repacked(package, tmp_path, "9.0.5", config=later))
    assert host.path(CONFIG).read_text() == later
    assert host.out(f"stat --format='%U:%G %a' {CONFIG}") == "root:heartbeat 640"


def test_a_configuration_that_both_changed_is_left_to_the_user(host: BootedHost, package: Path, tmp_path: Path) -> None:
    """With nobody to ask dpkg stops before it touches file or service; told to keep the user's file, it goes on and does."""
    configure(host, MEASURE_ONLY)
    host.run("systemctl start heartbeatd")
    pid = state(host, "MainPID")
    deb = repacked(package, tmp_path, "9.0.6", config="# of an even later version\n")
    shutil.copy(deb, host.path("/srv"))
    asked = host.run(f"apt-get install --yes /srv/{deb.name}", timeout_s=300, check=False)
    assert asked.returncode == 100
    assert "conffile prompt" in asked.stdout + asked.stderr
    assert host.path(CONFIG).read_text() == MEASURE_ONLY
    assert state(host, "MainPID") == pid
    host.run("dpkg --force-confold --configure --pending")
    wait_active(host)
    assert host.path(CONFIG).read_text() == MEASURE_ONLY
    assert state(host, "MainPID") != pid


def test_remove_keeps_configuration_and_data(host: BootedHost) -> None:
    """`apt remove` ends the service; configuration and rows stay, and a new installation goes on with them."""
    host.run("systemctl start heartbeatd")
    text, before = host.path(CONFIG).read_text(), rows(host)
    host.run("apt-get remove --yes heartbeatd", timeout_s=120)
    assert host.out("find /proc -maxdepth 1 -user heartbeat") == ""
    assert host.path(CONFIG).read_text() == text
    assert rows(host) >= before
    host.run("apt-get install --yes /srv/heartbeatd_9.0.6_all.deb", timeout_s=120)
    assert host.path(CONFIG).read_text() == text


def test_purge_ends_what_left_the_sandbox_and_empties_a_mount_point(host: BootedHost) -> None:
    """A process of the user outside the service that goes on writing, its user manager, its jobs; state on a disk of its own."""
    host.run("systemctl stop heartbeatd; rm -rf /var/lib/heartbeat/*; mount -t tmpfs state /var/lib/heartbeat")
    host.run("systemctl start heartbeatd")
    host.run("mkdir -p /var/lib/systemd/linger /var/spool/cron/crontabs")
    host.run("touch /var/lib/systemd/linger/heartbeat; echo '* * * * * true' > /var/spool/cron/crontabs/heartbeat")
    write = "i=0; while :; do i=$$((i+1)); mkdir -p /var/lib/heartbeat/d$$i; : > /var/lib/heartbeat/d$$i/f; done"
    host.run(f"systemd-run --quiet --collect --uid=heartbeat sh -c '{write}'")
    host.wait_for("what it writes", lambda: host.path("/var/lib/heartbeat/d20").exists())
    host.run("apt-get purge --yes heartbeatd", timeout_s=120)
    assert host.out("ls -A /var/lib/heartbeat") == ""
    assert host.out('grep -l "^Uid:.$(id -u heartbeat)" /proc/[0-9]*/status || true') == ""
    assert not host.path("/var/lib/systemd/linger/heartbeat").exists()
    assert not host.path("/var/spool/cron/crontabs/heartbeat").exists()
    host.run(
        "umount /var/lib/heartbeat; rmdir /var/lib/heartbeat /var/spool/cron/crontabs; rm -f /etc/heartbeat/config.toml"
    )
    host.run("apt-get install --yes /srv/heartbeatd_9.0.6_all.deb", timeout_s=120)


def test_purge_leaves_nothing_behind(host: BootedHost) -> None:
    """`apt purge` removes every file the package or the service made; the system user stays, as is Debian's custom."""
    host.run("systemctl enable --now heartbeatd")
    host.run("apt-get purge --yes heartbeatd", timeout_s=120)
    host.run("rm --recursive /srv/*")
    assert host.out("find / -xdev -iname '*heartbeat*' -not -path '/proc/*' -not -path '/sys/*'") == ""
    named = host.out("grep --recursive --files-with-matches heartbeat /etc").split()
    assert {name.rstrip("-") for name in named} == {"/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow"}
    assert "heartbeatd" not in host.out("journalctl --list-catalog")
    assert host.run("systemctl status heartbeatd", check=False).returncode == 4
    assert host.out("systemctl --failed --plain --no-legend") == ""


def home(host: BootedHost, user: str) -> str:
    """The user's home, by passwd(5)."""
    return host.out(f"getent passwd {user}").split(":")[5]


def rows(host: BootedHost) -> int:
    """How many rows the database has; 0 while there is none."""
    done = host.run(f"sqlite3 -readonly {DATABASE} 'SELECT count(*) FROM metrics'", check=False)
    return int(done.stdout or 0)


def missing(host: BootedHost, row: int) -> list[int]:
    """The slots without a row since that row, as seconds since 1970, where there is a slot every second."""
    query = f"SELECT timestamp_lima FROM metrics WHERE rowid >= {row}"
    moments = host.out(f"sqlite3 -readonly {DATABASE} '{query}'").splitlines()
    slots = [int(datetime.fromisoformat(moment).timestamp()) for moment in moments]
    return sorted(set(range(slots[0], slots[-1])) - set(slots))


def moment_s(host: BootedHost, name: str) -> float:
    """One of the service's moments, as systemd tells it, in seconds since 1970."""
    told = host.out(f"systemctl show --timestamp=us+utc --property={name} --value heartbeatd.service")
    return datetime.strptime(told, "%a %Y-%m-%d %H:%M:%S.%f %Z").replace(tzinfo=UTC).timestamp()


def journal_cursor(host: BootedHost) -> str:
    """Where the journal ends now."""
    return host.journal("--lines=0", "--show-cursor").rpartition("cursor: ")[2]
