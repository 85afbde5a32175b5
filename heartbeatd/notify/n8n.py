"""What n8n is told, and what its answers mean (heartbeat-protocol(7))."""

from heartbeatd.core.delivery import Failure
from heartbeatd.core.notification import Notification
from heartbeatd.core.payload import json_text

RESPOND = "if this is n8n, set Respond of its Webhook node to Immediately"


def body_of(notification: Notification) -> bytes:
    """JSON with `title`, `message` and `details`."""
    body = {"title": notification.title, "message": notification.message, "details": notification.details}
    return json_text(body).encode()


def failure_of(status: int) -> Failure:
    """What an answer that is no 2xx says. 401 and 403 are about the credentials, 404 about the flow; 408, 425, 429, 5xx pass.

    409 may pass as well, or be about this alert alone: so it is not to hold up others for ever.
    """
    if status in (409, 500):
        return Failure.ERROR
    if 400 <= status < 500 and status not in (401, 403, 404, 408, 425, 429):
        return Failure.REFUSED
    return Failure.DOWN


def explained(status: int) -> str:
    """E.g. ` (n8n answers so while the workflow is not active …)`; empty where the status says it all."""
    if status == 404:
        return " (n8n answers so while the workflow is not active, or to a wrong path)"
    if 300 <= status < 400:
        return " (redirects are not followed: set alerts.webhook_url to the address that answers itself)"
    return ""
