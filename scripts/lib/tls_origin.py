"""A TLS server for the demo: one page, and one line on standard output for every request it sees.

usage: tls_origin.py ADDRESS PORT CERTIFICATE KEY
"""

import http.server
import ssl
import sys

PAGE = b"hello from the origin\n"


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(f"request {self.path} {self.headers.get('User-Agent', '-')}", flush=True)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format, *args):
        pass


def main():
    address, port, certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer((address, int(port)), Page)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("listening", flush=True)
    server.serve_forever()


main()
