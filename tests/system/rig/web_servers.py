"""Web servers that people use, as origins: each tells of every request it saw, as it read it."""

import codecs
import os
import shutil
import subprocess
from pathlib import Path

from .waiting import DEADLINE, eventually

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
MODULES = "/usr/lib/apache2/modules"


class WebServer:
    """`command` serves on `port` of every address of the origin's namespace, and writes to `log` a line
    for each request: method, Host and target."""

    def __init__(self, world, name, port, command, log):
        self.name, self.port, self.log = name, port, log
        self._errors = open(world.work / f"{name}.err", "w+b")
        self.process = subprocess.Popen(
            world.origin.command(*command), stdout=self._errors, stderr=self._errors,
                stdin=subprocess.DEVNULL,
        )
        self._space = world.origin
        eventually(self._answers, f"{name} listens")

    def _answers(self):
        assert self.process.poll() is None, f"{self.name} ended: {self.errors()}"
        with self._space.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def errors(self):
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def seen(self):
        """(method, Host, target) of each request so far, in the order of their ends."""
        if not self.log.exists():
            return []
        lines = self.log.read_text("latin-1").split("\n")[:-1]
        return [_apache_line(line) if self.name == "apache" else tuple(line.split(" ", 2)) for line in lines]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._errors.close()


def _apache_line(line):
    """Its %r is as in C: a backslash before what would end the string."""
    host, _, request = codecs.escape_decode(line.encode("latin-1"))[0].decode("latin-1").partition(" ")
    method, _, rest = request.partition(" ")
    return method, host, rest.rpartition(" ")[0]


def _nginx(work, port):
    configuration, log = work / "nginx.conf", work / "nginx.log"
    configuration.write_text(f"""
daemon off; worker_processes 1; user root; pid {work}/nginx.pid; error_log stderr error;
events {{ worker_connections 4000; }}
http {{
  log_format seen escape=none '$request_method $http_host $request_uri';
  access_log {log} seen;
  client_body_temp_path {work}/nginx-body; proxy_temp_path {work}/nginx-p; fastcgi_temp_path {work}/nginx-f;
  uwsgi_temp_path {work}/nginx-u; scgi_temp_path {work}/nginx-s;
  server {{ listen {port}; underscores_in_headers on; location / {{ return 200 "ok"; }} }}
}}
""")
    return ["nginx", "-e", "stderr", "-c", configuration], log


def _apache(work, port):
    configuration, log = work / "apache.conf", work / "apache.log"
    pages = work / "apache-pages"
    pages.mkdir(exist_ok=True)
    configuration.write_text(f"""
ServerRoot {work}
ServerName origin
LoadModule mpm_event_module {MODULES}/mod_mpm_event.so
LoadModule authz_core_module {MODULES}/mod_authz_core.so
Listen {port}
User www-data
Group www-data
PidFile {work}/apache.pid
ErrorLog /dev/stderr
DocumentRoot {pages}
LogFormat "%{{Host}}i %r" seen
CustomLog {log} seen
""")
    return ["apache2", "-f", configuration, "-DFOREGROUND"], log


def _node(work, port):
    log = work / "node.log"
    return [shutil.which("node"), HELPERS / "site.js", port, log], log


def _go(work, port):
    program, log = work / "gosite", work / "go.log"
    go = shutil.which("go") or "/usr/local/go/bin/go"
    subprocess.run([go, "build", "-o", program, "."], cwd=HELPERS / "gosite", check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    return [program, f"0.0.0.0:{port}", log], log


SERVERS = {"nginx": _nginx, "apache": _apache, "node": _node, "go": _go}


def start(world, name, port):
    return WebServer(world, name, port, *SERVERS[name](world.work, port))


