"""A request as it goes over the wire, and its answer as it comes: HTTP/1.1 (RFC 9112), as far as it is needed without bodies."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, parse_headers

from heartbeatd.net.answer import EXPLAINING, Inspected
from heartbeatd.net.deadline_socket import DeadlineSocket, Unusable
from heartbeatd.net.target import Target

DRAIN_BYTES = 16 * 1024
INTERIM_ANSWERS = 16


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `headers` may hold a secret, so none of this is ever printed.

    `repeatable`: it does no harm if it arrives twice, so that a kept connection that is silent need not cost the whole time.
    `inspect`: so many bytes of the answer's body are waited for and, even with 0, all of its headers are kept; None: neither.
    """

    method: str
    target: Target
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    repeatable: bool = False
    inspect: int | None = None


class Final(HTTPResponse):
    """The final answer: those before it, which only say that it will come (RFC 9110, section 15.2), are passed over."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(INTERIM_ANSWERS + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed does not show it
            if status == 101:
                raise Unusable("HTTP 101: the server goes over to another protocol, which nobody asked for")
            if status >= 200:
                return version, status, reason
            parse_headers(self.fp)
        raise Unusable(f"more than {INTERIM_ANSWERS} interim answers (HTTP 1xx), and no final one")


def explaining(response: HTTPResponse) -> dict[str, str]:
    """Those headers that `Answer` carries."""
    return {name: value[:100] for name, value in _headers(response) if name in EXPLAINING and value}


def inspected(response: HTTPResponse, most_bytes: int, certificate_ends_s: float | None) -> Inspected:
    """What was asked to be known of an answer; as much of its body is waited for. Headers of one name are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in _headers(response):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Inspected(headers, response.read(most_bytes) if most_bytes else b"", certificate_ends_s)


def _headers(response: HTTPResponse) -> Iterator[tuple[str, str]]:
    # As they came: to ask for one by its name is slow, because it is looked at as a header of e-mail then.
    return ((name.lower(), value) for name, value in response.headers.raw_items())


def drained(wire: DeadlineSocket, response: HTTPResponse) -> bool:
    """True if the answer before has come whole, and nothing has come after it, an end of the connection least of all."""
    with contextlib.closing(response):
        if response.will_close:
            return False
        wire.allow_no_waiting(2 * DRAIN_BYTES)  # the body, and what frames it
        try:
            response.read(DRAIN_BYTES)
        except (HTTPException, OSError, ValueError):
            return False
        return response.isclosed() and wire.quiet()


def message(request: Request, user_agent: str) -> bytes:
    """The request as it goes over the wire (RFC 9112)."""
    target = request.target
    lines = [
        f"{request.method} {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        f"User-Agent: {user_agent}",
        "Accept-Encoding: identity",
        "Accept: */*",
        "Connection: keep-alive",
    ]
    if target.authorization:
        lines.append(f"Authorization: {target.authorization}")
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body is not None:
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (request.body or b"")
