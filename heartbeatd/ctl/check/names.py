"""Whether the names in the configuration can be resolved, and which name server is silent."""

import shutil
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from heartbeatd.ctl.check.finding import Finding, error, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.net import nameservers
from heartbeatd.net.answer import RequestError
from heartbeatd.runtime import Runtime

GLIBC_TIMEOUT_S = 5.0  # for one server in one round; there are two rounds (resolv.conf(5), timeout and attempts)
GLIBC_ROUNDS = 2
SILENT_AFTER_S = 3.0
_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """Each host that would be asked. Waits for as long as glibc asks its servers, for all names at once."""
    config = situation.config
    urls = {
        "heartbeat.url": config.heartbeat.url,
        "alerts.webhook_url": config.alerts.webhook_url.reveal(),
        "internet.url": config.internet.url,
    }
    hosts = {key: host for key, url in urls.items() if (host := urlsplit(url).hostname)}
    names = [host for host in hosts.values() if host != "localhost" and not _resolves_now(host, runtime)]
    servers = nameservers.listed()
    deadline_ns = runtime.cancel.deadline(GLIBC_TIMEOUT_S * GLIBC_ROUNDS * len(servers) + 1)
    silent = nameservers.silent(names[0], SILENT_AFTER_S, runtime.cancel) if names else ()
    if silent:
        yield silence(servers, silent, has_resolvectl=shutil.which("resolvectl") is not None)
    for key, host in hosts.items():
        try:
            found = runtime.resolver.lookup(host, 0, deadline_ns, runtime.cancel)
        except RequestError as failed:
            yield unresolved(key, host, failed, answering=len(silent) < len(servers))
        else:
            yield ok("names", f"{key}: {host} is {', '.join(sorted({a.sockaddr[0] for a in found}))}")


def _resolves_now(host: str, runtime: Runtime) -> bool:
    """True for an address. For a name the look-up begins here, so that all go on side by side."""
    try:
        runtime.resolver.lookup(host, 0, runtime.cancel.deadline(0), runtime.cancel)
    except RequestError:
        return False
    return True


def unresolved(key: str, host: str, failed: RequestError, *, answering: bool) -> Finding:
    """Without the internet check's address the agent works all the same."""
    text, hint = _explained(key, host, failed, answering=answering)
    return (warning if key == "internet.url" else error)("names", f"{key}: {text}", hint)


def _explained(key: str, host: str, failed: RequestError, *, answering: bool) -> tuple[str, str]:
    """What is wrong, and what to do. `answering` says whether any name server answers at all."""
    reason = failed.__cause__
    if isinstance(reason, socket.gaierror) and reason.errno in _NO_SUCH_NAME:
        return f"there is no host {host} ({reason.strerror})", f"look at the name in {key}"
    if "DNS filter" in failed.detail:
        return failed.detail, f"allow {host} in the filter (Pi-hole, AdGuard Home, the router …)"
    if isinstance(reason, UnicodeError):
        return failed.detail, f"look at the name in {key}"
    if not answering:
        return f"{host} cannot be resolved: no name server answers", "see the line before"
    return failed.detail, "the name servers answer, and cannot resolve it: look at their log, or try another one"


def silence(servers: tuple[str, ...], silent: tuple[str, ...], *, has_resolvectl: bool) -> Finding:
    """Of `servers` those that are `silent`, one at least."""
    which = "none of the name servers" if len(silent) == len(servers) else "not every name server"
    text = f"{which} in {nameservers.RESOLV_CONF} answers: {', '.join(silent)} {'is' if len(silent) == 1 else 'are'} silent"
    if len(silent) < len(servers):
        text += f", and to wait for it costs {GLIBC_TIMEOUT_S:g} s each time"
    hint = f"see to the server, or take it out of {nameservers.RESOLV_CONF}"
    if has_resolvectl:
        hint += "; `resolvectl status` says whom systemd-resolved asks"
    return warning("names", text, hint)
