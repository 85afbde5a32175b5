"""The tests' Worker behind TLS."""

import ssl

from tests.support.receiver import Receiver


class TlsReceiver(Receiver):
    """A `Receiver` that speaks HTTPS, with the certificate of `context`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        # The handshake belongs to the connection's own thread, not to the one that accepts.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def url(self, path: str) -> str:
        """The address of `path`, as seen from every host that shares this machine's network."""
        return super().url(path).replace("http:", "https:", 1)
