"""A web server in the gate's namespace, for what OPA fetches and sends."""

import http.server
import socket
import threading


class GateServer:
    """`handler` is a class for http.server; `url` is where it listens."""

    def __init__(self, world, handler):
        port = world.port()
        self.url = f"http://127.0.0.1:{port}"
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = world.gate.socket()
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.server_bind()
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
