"""dns_kit.py - what attacks on the DNS role share: the role as a process, messages byte by byte, upstreams of our own.

Everything runs in a network namespace of its own, so ports and addresses are free.
"""
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import tap

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, TSIG, IXFR, AXFR, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 250, 251, 252, 255
ADMIN = 5301
SANITIZED = bool(os.environ.get("SANITIZED"))  # the program has AddressSanitizer, which keeps memory
CLUSTER = """
{kind: Namespace, apiVersion: v1, metadata: {name: default}}
---
{kind: Service, apiVersion: v1, metadata: {name: web, namespace: default},
 spec: {clusterIP: 10.96.0.20, ports: [{name: http, port: 80, protocol: TCP}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: big, namespace: default}, spec: {clusterIP: None, ports: [{name: http, port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: outside, namespace: default}, spec: {type: ExternalName, externalName: www.example.com}}
"""


def big_slice(n=1000):
    points = ", ".join(f"{{addresses: [10.244.{i // 250}.{i % 250 + 1}], conditions: {{ready: true}}}}" for i in range(n))
    return ("---\n{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {name: big-1, namespace: default, labels: "
            "{kubernetes.io/service-name: big}}, addressType: IPv4, ports: [{name: http, port: 80, protocol: TCP}],\n endpoints: [" +
            points + "]}\n")


def isolate(*more):
    """Runs the script again in a network namespace (`more`: other namespaces) with loopback up and 10.99.0.0/16 on it."""
    if "--inside" not in sys.argv:
        os.execvp("unshare", ["unshare", "--net", *more, sys.executable, "-B", *sys.argv, "--inside"])
    sys.argv.remove("--inside")
    for words in ("link set lo up", "addr add 10.99.0.1/16 dev lo", "addr add fd00:99::1/64 dev lo nodad"):
        subprocess.run(["ip", *words.split()], check=True)


# ---- messages ----

def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.rstrip(".").split(".") if label) + b"\0"


WEB = name("web.default.svc.cluster.local")


def question(what=WEB, kind=A, klass=1):
    return (name(what) if isinstance(what, str) else what) + struct.pack(">HH", kind, klass)


def message(body=None, ident=0x1234, flags=0x0100, counts=(1, 0, 0, 0)):
    return struct.pack(">HHHHHH", ident, flags, *counts) + (question() if body is None else body)


def opt(size=1232, version=0, flags=0, options=b"", rcode=0, owner=b"\0"):
    return owner + struct.pack(">HHBBHH", OPT, size, rcode, version, flags, len(options)) + options


def option(code, value=b""):
    return struct.pack(">HH", code, len(value)) + value


def skip_name(data, at):
    while data[at]:
        if data[at] >= 0xc0:
            return at + 2
        at += 1 + data[at]
    return at + 1


class Answer:
    """A message read back; ValueError when it is not well-formed."""

    def __init__(self, data):
        self.data = data
        try:
            self.ident, self.flags, *self.counts = struct.unpack(">HHHHHH", data[:12])
            at = 12
            for _ in range(self.counts[0]):
                at = skip_name(data, at) + 4
            self.question = data[12:at]
            self.records = []  # section, type, ttl, rdata
            for section in (1, 2, 3):
                for _ in range(self.counts[section]):
                    at = skip_name(data, at)
                    kind, klass, ttl, length = struct.unpack(">HHIH", data[at:at + 10])
                    at += 10 + length
                    self.records.append((section, kind, klass, ttl, data[at - length:at]))
        except (IndexError, struct.error) as e:
            raise ValueError(f"not well-formed: {data!r}") from e
        if at != len(data):
            raise ValueError(f"bytes behind the message: {data!r}")
        self.opt = next((r for r in self.records if r[1] == OPT), None)
        self.rcode = self.flags & 15 | (self.opt[3] >> 24 << 4 if self.opt else 0)
        self.truncated = bool(self.flags & 0x200)

    def of(self, kind, section=1):
        return [r[4] for r in self.records if r[0] == section and r[1] == kind]


# ---- the role ----

class Role:
    def __init__(self, build, corefile, objects=CLUSTER, workers=2, port=53):
        self.work = tempfile.mkdtemp(prefix="portico-dns-")
        os.chmod(self.work, 0o755)  # the role gives up its user
        os.mkdir(f"{self.work}/objects")
        self.write("objects/all.yaml", objects)
        self.write("Corefile", corefile)
        self.port = port
        self.err = open(f"{self.work}/err", "w")
        self.process = subprocess.Popen([f"{build}/portico", "dns", "--from", f"{self.work}/objects", "--corefile", f"{self.work}/Corefile",
                                         "--workers", str(workers), "--dns-admin-address", f"127.0.0.1:{ADMIN}"],
                                        stdout=subprocess.DEVNULL, stderr=self.err, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})  # looking for them needs ptrace(2)
        end = time.monotonic() + 20
        while not self.good():
            if self.process.poll() is not None or time.monotonic() > end:
                print("Bail out! the role does not start", self.log(), sep="\n")
                sys.exit(1)
            time.sleep(0.02)

    def write(self, path, text):
        with open(f"{self.work}/{path}", "w") as f:
            f.write(text)

    def log(self):
        return open(f"{self.work}/err").read()

    def good(self):
        """An ordinary question is answered rightly."""
        got = self.udp(message(ident=0x4321), 0.3)
        return got is not None and got[:2] == b"\x43\x21" and got[3] & 15 == 0 and bytes([10, 96, 0, 20]) in got

    def udp(self, packet, seconds=5.0, source=None):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(seconds)
            if source:
                s.bind((source, 0))
            s.connect(("127.0.0.1", self.port))
            try:
                s.send(packet)
                return s.recv(65536)
            except (TimeoutError, ConnectionRefusedError):
                return None

    def ask(self, what, kind=A, seconds=8.0, edns=False):
        """Answer, or None."""
        ident = int.from_bytes(os.urandom(2), "big")
        body = question(what, kind) + (opt() if edns else b"")
        got = self.udp(message(body, ident, counts=(1, 0, 0, int(edns))), seconds)
        return Answer(got) if got else None

    def rss_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read())[1])

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def metric(self, text):
        """The sum of the samples whose line begins with this."""
        with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN}/metrics", timeout=10) as r:
            return sum(float(line.rsplit(" ", 1)[1]) for line in r.read().decode().splitlines() if line.startswith(text))

    def end(self):
        alive = self.process.poll() is None
        if alive:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "does not end"
        log = self.log()
        tap.check("the role lives until it is told to end, and ends well", alive and status == 0 and "ERROR: AddressSanitizer" not in log and "runtime error" not in log,
                  f"alive {alive}, status {status}\n" + log[-3000:])
        shutil.rmtree(self.work)

    def back(self, what, fds, rss_kb, slack_kb=6144):
        tap.check(f"{what}: questions are answered", self.good())
        tap.soon(f"{what}: descriptors are back", lambda: self.fds() <= fds + 2, 15)
        if not SANITIZED:
            tap.soon(f"{what}: memory is back, {rss_kb} kB before", lambda: self.rss_kb() < rss_kb + slack_kb, 5)


# ---- connections ----

def tls_context():
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=dns", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                   check=True, capture_output=True)
    os.chmod(f"{folder}/key.pem", 0o644)


def framed(packet):
    return struct.pack(">H", len(packet)) + packet


def frames(data):
    """Whole messages in a stream's bytes."""
    out = []
    while len(data) >= 2 and len(data) >= 2 + (n := struct.unpack(">H", data[:2])[0]):
        out.append(data[2:2 + n])
        data = data[2 + n:]
    return out


class Ends:
    """When does the other side end this connection? Reads it in a thread of its own."""

    def __init__(self, sock):
        self.sock, self.start, self.after = sock, time.monotonic(), None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        self.sock.settimeout(60)
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return
        except OSError:
            pass
        self.after = time.monotonic() - self.start


# ---- upstreams ----

class Upstream:
    """A name server over UDP and TCP. `answer(query bytes, client, over TCP)` gives bytes, a list of them, or None; seconds in
    front of them are waited for."""

    def __init__(self, port, answer, tcp=True, ip="127.0.0.1"):
        self.answer, self.seen, self.lock = answer, [], threading.Lock()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.udp.bind((ip, port))
        threading.Thread(target=self.run_udp, daemon=True).start()
        if tcp:
            self.tcp = socket.create_server((ip, port), backlog=256)
            threading.Thread(target=self.run_tcp, daemon=True).start()

    def of(self, query, client, tcp):
        at = skip_name(query, 12)
        with self.lock:
            self.seen.append((query[12:at].lower(), struct.unpack(">H", query[at:at + 2])[0], client, tcp))
        out = self.answer(query, client, tcp)
        return out if isinstance(out, list) else [] if out is None else [out]

    def names(self):
        """What was asked by clients, without our own questions about health."""
        with self.lock:
            return [(n, k) for n, k, _, _ in self.seen if n != b"\0"]

    def run_udp(self):
        while True:
            try:
                query, client = self.udp.recvfrom(4096)
            except OSError:
                return
            if not query:  # closed
                return
            self.send(self.of(query, client, False), lambda b, to=client: self.udp.sendto(b, to))

    def send(self, parts, send):
        for i, part in enumerate(parts):
            if isinstance(part, (int, float)):
                t = threading.Timer(part, self.send, (parts[i + 1:], send))
                t.daemon = True
                t.start()
                return
            try:
                send(part)
            except OSError:
                return

    def run_tcp(self):
        while True:
            try:
                conn, client = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn, client), daemon=True).start()

    def serve(self, conn, client):
        data = b""
        try:
            while part := conn.recv(65536):
                data += part
                for query in frames(data):
                    data = data[2 + len(query):]
                    self.send(self.of(query, client, True), lambda b: conn.sendall(framed(b)) if b else conn.close())
        except OSError:
            pass

    def close(self):
        for s in (self.udp, getattr(self, "tcp", None)):
            if s:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()


def reply(query, records=b"", rcode=0, counts=(0, 0, 0), flags=0x8180, ident=None, ask=None):
    """An answer to a query: its id and question unless others are given; `records` are bytes."""
    end = skip_name(query, 12) + 4
    return (query[:2] if ident is None else struct.pack(">H", ident)) + struct.pack(">HHHHH", flags | rcode, 1, *counts) + \
        (query[12:end] if ask is None else ask) + records


def record(kind=A, rdata=b"\xc0\0\2\7", ttl=60, owner=b"\xc0\x0c", klass=1):
    return owner + struct.pack(">HHIH", kind, klass, ttl, len(rdata)) + rdata


def soa(zone="example.com", ttl=60):
    return record(SOA, name("ns." + zone) + name("host." + zone) + struct.pack(">IIIII", 1, 7200, 1800, 86400, ttl), ttl, name(zone))
