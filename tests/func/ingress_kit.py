"""ingress_kit.py - a proxy from a folder of manifests, and a small language for what it is asked and should answer.

	GET /cart?x=1              a request to the row's host; "https GET …" over TLS; "12 GET …" a dozen, one after the other
	+ Cookie: a=b              with this header (Host as well)
	@ text                     with this body; "@@ 3000" of so many bytes
	= 200                      the status
	= X-A: b                   the answer has this header with this value; ~ a regular expression; "= -X-A": it has not
	= body ~ regex             the body
	= by web                   the backend that answered; of a dozen: "by web 12", "by web 3-9" (how many of them)
	= count 503 6              of a dozen: how many had this status
	= up X-A: b                a header as the backend got it; ~ and - as above; up target, up method, up version, up body
	= seen auth X-A: b         what another backend got meanwhile
"""
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

import ingress_backends as backends
from ports import free_port

DEADLINE = 5.0
passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok' if good else 'not ok'} {passed + failed} - {name}")
    for line in [] if good else str(detail).splitlines()[:12]:
        print(f"#   {line[:400]}")
    sys.stdout.flush()
    return good


def wait_for(ask, limit=DEADLINE):
    """Asks until the answer is true, and gives the last one."""
    end = time.monotonic() + limit
    while not (answer := ask()) and time.monotonic() < end:
        select.select([], [], [], 0.02)
    return answer


class Proxy:
    """portico ingress --from FOLDER on ports of its own. Files are moved into the folder, so that none is half written."""

    def __init__(self, program, work, *flags):
        self.program, self.work, self.folder = program, work, f"{work}/manifests"
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(work, 0o755)
        self.http, self.https, self.admin = (free_port() for _ in range(3))
        self.flags, self.process = flags, None

    def put(self, name, text):
        with open(f"{self.work}/.new", "w") as f:
            f.write(text)
        os.rename(f"{self.work}/.new", f"{self.folder}/{name}.yaml")

    def remove(self, name):
        os.unlink(f"{self.folder}/{name}.yaml")

    def start(self):
        self.out, self.err = open(f"{self.work}/out", "wb"), open(f"{self.work}/err", "wb")
        self.process = subprocess.Popen(
            [self.program, "ingress", "--from", self.folder, "--http", f"127.0.0.1:{self.http}", "--https",
             f"127.0.0.1:{self.https}", "--ingress-admin-address", f"127.0.0.1:{self.admin}", "--workers", "2",
             "--run-dir", f"{self.work}/run", "--data-dir", f"{self.work}/data", *self.flags], stdout=self.out, stderr=self.err)
        return wait_for(lambda: " ready" in self.log() or self.process.poll() is not None) and self.process.poll() is None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)

    def log(self):
        with open(f"{self.work}/err", errors="replace") as f:
            return f.read()

    def access_log(self):
        with open(f"{self.work}/out", errors="replace") as f:
            return f.read()

    def metrics(self, path="/metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as r:
            return r.read().decode()

    def tool(self, *words):
        """One of portico's commands: (status, output)."""
        r = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=20)
        return r.returncode, r.stdout + r.stderr

    def tell(self, *words):
        return self.tool(*words, "--ingress-admin-address", f"127.0.0.1:{self.admin}")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.echo = {}
        if dict((k.lower(), v) for k, v in headers).get("content-type") == "application/json":
            try:
                self.echo = json.loads(body)
            except ValueError:
                pass
        values = [v for k, v in headers if k.lower() == "x-by"]
        self.by = values[0] if values else None

    def __str__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"


def tls_context(cert=None, key=None, alpn=None, version=None):
    c = ssl.create_default_context()
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if cert:
        c.load_cert_chain(cert, key)
    if alpn:
        c.set_alpn_protocols(alpn)
    if version:
        c.maximum_version = version
    return c


def ask(proxy, method, target, host, headers=(), body=None, tls=False, sni=None, context=None, before=b"", timeout=DEADLINE):
    """One request on a connection of its own. An answer of status 0 is a connection that ended instead."""
    sock = socket.create_connection(("127.0.0.1", proxy.https if tls else proxy.http), timeout=timeout)
    try:
        sock.sendall(before)
        if tls:
            sock = (context or tls_context()).wrap_socket(sock, server_hostname=sni or host)
        c = http.client.HTTPConnection("127.0.0.1")
        c.sock = sock
        c.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        if not any(k.lower() == "host" for k, _ in headers):
            c.putheader("Host", host)
        for k, v in headers:
            c.putheader(k, v)
        if body is not None:
            c.putheader("Content-Length", str(len(body)))
        c.endheaders(body)
        r = c.getresponse()
        return Answer(r.status, r.getheaders(), r.read())
    except (OSError, http.client.HTTPException) as e:
        return Answer(0, [], repr(e).encode())
    finally:
        sock.close()


# ---- the small language ----

def compare(pairs, text):
    """"Name: value", "Name ~ regex" or "-Name" about pairs of name and value."""
    if text[0] == "-":
        return not any(k.lower() == text[1:].lower() for k, _ in pairs)
    m = re.match(r"([^\s:~]+)(: ?| ~ )(.*)", text)
    if not m:
        raise ValueError(f"cannot read the expectation {text!r}")
    values = [v for k, v in pairs if k.lower() == m[1].lower()]
    return m[3] in values if m[2] != " ~ " else any(re.search(m[3], v) for v in values)


def compare_echo(told, text):
    m = re.match(r"(target|method|version|body|sni|client|tls)(=| ~ )(.*)", text)
    if not m:
        return compare(told.get("headers", []), text)
    value = str(told.get(m[1]))
    return value == m[3] if m[2] == "=" else re.search(m[3], value) is not None


def in_range(n, text):
    low, _, high = text.partition("-")
    return int(low) <= n <= int(high or low)


def expectation(text, answers, seen):
    last, words = answers[-1], text.split(" ", 2)
    if text.isdigit():
        return all(a.status == int(text) for a in answers)
    if words[0] == "count":
        return in_range(sum(a.status == int(words[1]) for a in answers), words[2])
    if words[0] == "by" and len(words) == 3:
        return in_range(sum(a.by == words[1] for a in answers), words[2])
    if words[0] == "by":
        return all(a.by == words[1] for a in answers)
    if words[0] == "up":
        return compare_echo(last.echo, text[3:])
    if words[0] == "seen":
        return wait_for(lambda: any(by == words[1] and compare_echo(told, words[2]) for by, told in list(seen())), 2)
    if text.startswith("body ~ "):
        return re.search(text[7:], last.body.decode(errors="replace")) is not None
    return compare(last.headers, text)


def read_cases(text):
    cases = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line[0] == "+":
            cases[-1]["headers"].append(tuple(line[2:].split(": ", 1) if ": " in line else (line[2:].rstrip(":"), "")))
        elif line.startswith("@@"):
            cases[-1]["body"] = b"x" * int(line[3:])
        elif line[0] == "@":
            cases[-1]["body"] = line[2:].encode()
        elif line[0] == "=":
            cases[-1]["expect"].append(line[2:])
        else:
            m = re.fullmatch(r"(https )?(?:(\d+) )?([A-Z]+) (\S+)", line)
            if not m:
                raise ValueError(f"cannot read the case {line!r}")
            cases.append({"line": line, "tls": bool(m[1]), "times": int(m[2] or 1), "method": m[3], "target": m[4],
                          "headers": [], "body": None, "expect": []})
    return cases


def run_case(proxy, case, host):
    mark = len(backends.seen)
    answers = [ask(proxy, case["method"], case["target"], host, case["headers"], case["body"], case["tls"])
               for _ in range(case["times"])]
    wrong = [e for e in case["expect"] if not expectation(e, answers, lambda: backends.seen[mark:])]
    return wrong, answers


def run_cases(name, proxy, host, text, patient=False):
    """patient: the first case is asked until it holds, as what it tells of may not be in effect yet."""
    for n, case in enumerate(read_cases(text)):
        result = []

        def holds():
            result[:] = run_case(proxy, case, host)
            return not result[0]
        wait_for(holds, DEADLINE if patient and n == 0 else 0)
        wrong, answers = result
        check(f"{name}: {case['line']}" + "".join(f" [{k}: {v}]" for k, v in case["headers"])[:80], not wrong,
              "".join(f"wanted  {e}\n" for e in wrong) + f"got     {answers[-1]}" +
              (f"\nall     {[(a.status, a.by) for a in answers]}" if len(answers) > 1 else ""))


def work_folder(name):
    import tempfile
    return tempfile.mkdtemp(prefix=f"{name}-")


def remove_folder(path):
    shutil.rmtree(path, ignore_errors=True)
