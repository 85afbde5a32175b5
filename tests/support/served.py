"""An HTTP server on a thread of its own."""

import threading
from http.server import HTTPServer
from types import TracebackType
from typing import Self


class Served:
    """`server` answers from entering the `with` block to leaving it."""

    def __init__(self, server: HTTPServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
