"""ntfy, Gotify and a Matrix homeserver, as far as a message goes: they take and refuse what the real ones do."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.served import Served

Json = dict[str, Any]
USER, PASSWORD, TOKEN, TOPIC = "nas", "hidden-password", "Ahidden-token.1", "hidden-topic"


@dataclass
class Request:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: Json

    @property
    def basic(self) -> str:
        """USER:PASSWORD of Basic authentication; "" without it."""
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        return base64.b64decode(value).decode() if kind == "Basic" else ""


@dataclass
class Took:
    """What a service has let through."""

    messages: list[Json] = field(default_factory=list)


Handler = Callable[[Request, Took], tuple[int, Json]]


class Service(Served):
    """Listens from entering the `with` block to leaving it; `refusing` is its answer to every message that it would take."""

    def __init__(self, handler: Handler, refusing: tuple[int, Json] | None = None) -> None:
        self.took = Took()
        took = self.took

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"] or 0))
                request = Request(unquote(urlsplit(self.path).path), dict(self.headers), json.loads(text or b"{}"))
                status, answer = handler(request, took)
                if refusing and status == 200 and "/login" not in self.path and "/join/" not in self.path:
                    took.messages.clear()
                    status, answer = refusing
                self._say(status, answer)

            do_PUT = do_POST

            def do_GET(self) -> None:
                self._say(404, {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"})

            def _say(self, status: int, answer: Json) -> None:
                body = json.dumps(answer).encode()
                self.send_response_only(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        server.daemon_threads = False
        self.at = f"127.0.0.1:{server.server_port}"
        super().__init__(server)


def ntfy(request: Request, took: Took) -> tuple[int, Json]:
    """Publishing as JSON (docs.ntfy.sh/publish): a topic of 64 letters, a user where there is one, and the error's own code."""

    def refuse(code: int, error: str) -> tuple[int, Json]:
        return code // 100, {"code": code, "http": code // 100, "error": error}

    if request.basic and request.basic != f"{USER}:{PASSWORD}":
        return refuse(40101, "unauthorized")
    if not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", str(request.body.get("topic"))):
        return refuse(40009, "invalid request: topic invalid")
    if request.body["topic"] != TOPIC:
        return refuse(40301, "forbidden")
    took.messages.append(request.body)
    return 200, {"id": "1", "event": "message", "topic": TOPIC}


def gotify(request: Request, took: Took) -> tuple[int, Json]:
    """`POST /message` (gotify.net/api-docs): an application's token, and a message."""
    if request.path != "/message":
        return 404, {"error": "Not Found", "errorCode": 404, "errorDescription": "page not found"}
    if request.headers.get("X-Gotify-Key") != TOKEN:
        said = "you need to provide a valid access token or user credentials to access this api"
        return 401, {"error": "Unauthorized", "errorCode": 401, "errorDescription": said}
    if not request.body.get("message"):
        said = "Field 'message' is required"
        return 400, {"error": "Bad Request", "errorCode": 400, "errorDescription": said}
    took.messages.append(request.body)
    return 200, {"id": 1, "appid": 1, **request.body}


def matrix(request: Request, took: Took) -> tuple[int, Json]:
    """Logging in with a password, joining a room and sending to it (spec.matrix.org, client-server API)."""
    action = re.sub(r"^/_matrix/client/(r0|v3)/", "", request.path)
    if action == "login":
        name = request.body.get("user") or request.body.get("identifier", {}).get("user")
        if (name, request.body.get("password")) != (USER, PASSWORD):
            return 403, {"errcode": "M_FORBIDDEN", "error": "Invalid username or password"}
        return 200, {"access_token": TOKEN, "user_id": f"@{USER}:example.org", "home_server": "example.org"}
    if action == "register":
        return 403, {"errcode": "M_FORBIDDEN", "error": "Registration has been disabled"}
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return 401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unrecognised access token"}
    if action.startswith("join/"):
        if not action.startswith("join/#alarms"):
            return 403, {"errcode": "M_FORBIDDEN", "error": "You are not invited to this room."}
        return 200, {"room_id": "!room:example.org"}
    if action.startswith("rooms/!room:example.org/send/m.room.message"):
        took.messages.append(request.body)
        return 200, {"event_id": "$event"}
    if action == "logout":
        return 200, {}
    return 403, {"errcode": "M_FORBIDDEN", "error": "You cannot do that."}
