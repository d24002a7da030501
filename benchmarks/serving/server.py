"""`tfvision serve` in a process of its own."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_TIMEOUT_SECONDS = 40


class Server:
    """`tfvision serve` in a process of its own, over a folder of models; a context manager."""

    def __init__(self, models, *options, files=None):
        self.rest_port, self.grpc_port = _free_ports()
        self._log = tempfile.TemporaryFile()
        serve = [sys.executable, "-c", "from tfvision.cli.main import main; main()", "serve", str(models)]
        ports = ["--rest-port", str(self.rest_port), "--grpc-port", str(self.grpc_port)]
        bounded = ["prlimit", f"--nofile={files}:{files}"] if files else []
        self._process = subprocess.Popen([*bounded, *serve, *ports, *options], stdout=self._log, stderr=self._log)

    def wait_until_ready(self):
        while self._get_status("/readyz") != 200:
            if not self.is_alive():
                raise SystemExit(f"the server ended:\n{self.log()}")
            time.sleep(0.02)

    def get(self, path):
        """(status, content) of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=_TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()

    def is_alive(self):
        return self._process.poll() is None

    def memory_mb(self, field="VmRSS"):
        """Resident memory; the largest there ever was with the field VmHWM."""
        return memory_mb(self._process.pid, field)

    def memory_mb_of_all(self):
        """Resident memory of the server and its children."""
        sizes = [self.memory_mb()]
        for child in _children(self._process.pid):
            with contextlib.suppress(OSError, StopIteration):
                sizes.append(memory_mb(child))
        return sum(sizes)

    def open_files(self):
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_bytes(self):
        return os.fstat(self._log.fileno()).st_size

    def log(self):
        """The end of what the server wrote."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            print("the server did not stop within 60 s: killed", file=sys.stderr)
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _get_status(self, path):
        try:
            return self.get(path)[0]
        except (OSError, http.client.HTTPException):
            return None


def memory_mb(process="self", field="VmRSS"):
    """Resident memory of a process; the largest there ever was with the field VmHWM."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def _children(pid):
    """Of all its threads."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += path.read_text().split()
    return found


def _free_ports():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
