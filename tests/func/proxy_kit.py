"""proxy_kit.py - the ingress proxy by hand: started on a folder of manifests, its backends in this process.

    BUILD=build python3 -B tests/func/ingress_….py
"""
import atexit
import base64
import collections
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from ports import free_port
from tap import DEADLINE

BUILD = os.environ.get("BUILD", "build")
WORK = tempfile.mkdtemp(prefix="ingress.", dir=os.environ.get("TMPDIR", "/tmp"))
os.chmod(WORK, 0o755)  # the proxy gives root up before it reads them
os.environ.get("KEEP") or atexit.register(shutil.rmtree, WORK, True)


# ---- manifests ----

class Folder:
    """A folder of manifests; each change is a rename."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="manifests.", dir=WORK)
        os.chmod(self.path, 0o755)
        self.put("class", {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {
            "name": "nginx", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "k8s.io/ingress-nginx"}})

    def put(self, name, *objects):
        temporary = f"{self.path}/.{name}"
        with open(temporary, "w") as f:
            f.write("\n---\n".join(json.dumps(o) for o in objects))
        os.rename(temporary, f"{self.path}/{name}.yaml")

    def drop(self, name):
        os.unlink(f"{self.path}/{name}.yaml")

    def service(self, name, *ports):
        """A Service whose endpoints are these ports of 127.0.0.1; (ADDRESS, PORT) for another address."""
        pairs = [p if isinstance(p, tuple) else ("127.0.0.1", p) for p in ports]
        slices = [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                   "metadata": {"name": f"{name}-{i}", "labels": {"kubernetes.io/service-name": name}},
                   "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
                   "endpoints": [{"addresses": [address], "conditions": {"ready": True}}]} for i, (address, port) in enumerate(pairs)]
        self.put(f"service-{name}", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                                     "spec": {"ports": [{"name": "http", "port": 80}]}}, *slices)

    def ingress(self, name, host, service, paths=("/",), secret=None, kind="Prefix", **annotations):
        values = {k if "/" in k else "nginx.ingress.kubernetes.io/" + k.replace("_", "-"): str(v) for k, v in annotations.items()}
        rule = {"http": {"paths": [{"path": p, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}}
                                   for p in paths]}}
        if host:
            rule["host"] = host
        spec = {"ingressClassName": "nginx", "rules": [rule]}
        if secret:
            spec["tls"] = [{"hosts": [host], "secretName": secret}]
        self.put(f"ingress-{name}", {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {
            "name": name, "annotations": values}, "spec": spec})

    def globals(self, **values):
        self.put("configmap", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "ingress-nginx-controller", "namespace": "ingress-nginx"},
            "data": {"disable-access-log": "true", **{k.replace("_", "-"): str(v) for k, v in values.items()}}})

    def secret(self, name, crt, key):
        self.put(f"secret-{name}", {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name},
                                    "data": {"tls.crt": base64.b64encode(crt).decode(), "tls.key": base64.b64encode(key).decode()}})


def certificate(*names):
    """(PEM, key) of a self-signed certificate."""
    out = f"{WORK}/{names[0]}.{time.monotonic_ns()}"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{n}" for n in names),
                    "-keyout", out + ".key", "-out", out + ".crt"], check=True, stderr=subprocess.DEVNULL)
    with open(out + ".crt", "rb") as c, open(out + ".key", "rb") as k:
        return c.read(), k.read()


def any_certificate(*alpn):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's authorities, which take their time
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if alpn:
        c.set_alpn_protocols(list(alpn))
    return c


# ---- the process ----

class Proxy:
    def __init__(self, folder, *more, workers=2, like=None, descriptors=None):
        """`like`: another one, whose addresses it takes over (--handover)."""
        self.http, self.https, self.admin = (like.http, like.https, like.admin) if like else (free_port(), free_port(), free_port())
        self.log_path = tempfile.mktemp(prefix="proxy.", suffix=".log", dir=WORK)
        limit = (lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_NOFILE, (descriptors, descriptors))) if descriptors else None
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [f"{BUILD}/portico", "ingress", "--from", folder.path, "--http", f"127.0.0.1:{self.http}", "--https", f"127.0.0.1:{self.https}",
                 "--workers", str(workers), "--ingress-admin-address", f"127.0.0.1:{self.admin}", *more],
                stdout=log, stderr=log, preexec_fn=limit)
        self.pid = self.process.pid
        atexit.register(self.kill)

    def ready(self, limit=DEADLINE):
        end = time.monotonic() + limit
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.ask("/healthz")[0] == 200 and self.log().count("routing "):
                    return True
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("the proxy does not serve:\n" + self.log())

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def ask(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=DEADLINE)
        try:
            c.request("GET", path, headers={"Connection": "close"})
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def top(self):
        return json.loads(self.ask("/top")[1])

    def metric(self, name):
        return sum(float(v) for v in re.findall(rf"(?m)^{name}(?:\{{[^}}]*\}})? ([0-9.e+-]+)$", self.ask("/metrics")[1].decode()))

    def in_flight(self):
        return sum(e["inFlight"] for e in self.top()["endpoints"])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(r"VmRSS:\s*(\d+)", f.read()).group(1))

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self, limit=DEADLINE):
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


# ---- backends ----

Seen = collections.namedtuple("Seen", "raw head body complete connection")


def whole_requests(s):
    """Each request of a connection as it came, until its end. One at a time: the proxy sends none ahead."""
    data = b""
    while part := s.recv(4096):
        data += part
        if body_end(data) is not None:
            yield data
            data = b""


def body_end(data):
    """Where the request at the start of `data` ends, and its body: (end, body); None: not yet, or never."""
    head, sep, rest = data.partition(b"\r\n\r\n")
    if not sep:
        return None
    at = len(head) + 4
    if re.search(rb"(?im)^transfer-encoding:[ \t]*chunked", head):
        body = b""
        while (line := data.find(b"\r\n", at)) >= 0:
            if not re.fullmatch(rb"[0-9a-fA-F]+", data[at:line].split(b";")[0]):
                return len(data), body
            size = int(data[at:line].split(b";")[0], 16)
            if size == 0:
                end = data.find(b"\r\n\r\n", line - 0)
                return (end + 4, body) if end >= 0 else None
            if len(data) < line + 2 + size + 2:
                return None
            body += data[line + 2:line + 2 + size]
            at = line + 2 + size + 2
        return None
    length = re.search(rb"(?im)^content-length:[ \t]*(\d+)", head)
    n = int(length.group(1)) if length else 0
    return (at + n, rest[:n]) if len(rest) >= n else None


class Listener:
    """A thread for each connection; `talk(socket, number)` does what it likes."""

    def __init__(self, talk, backlog=512):
        self.talk, self.connections, self.open = talk, 0, set()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(backlog)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.one, args=(s, self.connections), daemon=True).start()

    def one(self, s, number):
        self.open.add(s)
        try:
            self.talk(s, number)
        except OSError:
            pass
        finally:
            self.open.discard(s)
            s.close()

    def cut(self):
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.socket.close()
        self.cut()


class Recorder(Listener):
    """Keeps the very bytes of every request; answers each with its number in the connection."""

    def __init__(self, answer=None):
        self.seen, self.answer = [], answer
        super().__init__(self.record)

    def record(self, s, number):
        data = b""
        try:
            while True:
                while (end := body_end(data)) is None:
                    part = s.recv(65536)
                    if not part:
                        return
                    data += part
                raw, body = data[:end[0]], end[1]
                data = data[end[0]:]
                self.seen.append(Seen(raw, raw.partition(b"\r\n\r\n")[0], body, True, number))
                if self.answer:
                    s.sendall(self.answer(self.seen[-1]))
                else:
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        finally:
            if data:
                self.seen.append(Seen(data, data.partition(b"\r\n\r\n")[0], b"", False, number))
