"""What the webhook is told of a failure."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

from heartbeatd.failure_alert.failure import Failure

LIMA = timezone(timedelta(hours=-5))


def alert(host: str, failure: Failure) -> dict[str, object]:
    """The message, in the shape of every other alert (heartbeat-protocol(7))."""
    now = datetime.now(UTC)
    stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    title, message = text(host, failure)
    return {
        "title": title,
        "message": message,
        "details": {
            "event_id": str(uuid.uuid4()),
            "event": "failure",
            "host": host,
            "subject": "agent",
            "previous": None,
            "current": None,
            "worker_status": None,
            "cause": failure.cause,
            "since": stamp,
            "at": stamp,
            "duration_seconds": None,
            "timestamp_lima": now.astimezone(LIMA).isoformat(timespec="microseconds"),
            "heartbeat_url": None,
        },
    }


def text(host: str, failure: Failure) -> tuple[str, str]:
    """Title and message."""
    unseen = "Nobody watches this host from inside now, and the Worker receives no heartbeats."
    check = "sudo heartbeatctl check, which says what is in the way; " if failure.refused or failure.lasting_s else ""
    look = f"On the host: {check}sudo journalctl -u heartbeatd -e"
    if failure.lasting_s is None:
        return (
            f"{host}: heartbeatd has failed and is not started again ({failure.cause})",
            f"The agent on {host} ended ({failure.cause}), and systemd does not start it again. {unseen} {look}; then sudo "
            "systemctl restart heartbeatd.",
        )
    return (
        f"{host}: heartbeatd does not come up ({failure.cause})",
        f"For {failure.lasting_s:.0f} seconds or more systemd has started the agent on {host} again and again, and it ends "
        f"before its first cycle is over ({failure.cause}). {unseen} systemd goes on trying. {look}.",
    )
