"""tap.py - what every driver shares: checks in TAP, connections that send exactly the bytes given.

Nothing here sleeps: every read has a deadline, and what is waited for is asked again until it.
"""
import re
import select
import socket
import sys
import time

DEADLINE = 10.0

passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
    print(f"{'ok' if good else 'not ok'} {passed + failed} - {name}")
    if not good:
        for line in str(detail).splitlines()[:12]:
            print(f"#   {line[:400]}")
    return good


def section(name):
    print(f"# --- {name}", flush=True)


def soon(name, ask, limit=DEADLINE):
    """Asks until the answer is true; the last one is shown when it never is."""
    end = time.monotonic() + limit
    answer = ask()
    while not answer and time.monotonic() < end:
        select.select([], [], [], 0.02)
        answer = ask()
    return check(name, answer, "not within the deadline")


def finish():
    print(f"1..{passed + failed}")
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(failed > 0)


# ---- bytes as they are ----

class Raw:
    """A TCP or TLS connection to write anything into."""

    def __init__(self, port, context=None, name="localhost", host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), timeout=DEADLINE)
        if context:
            self.sock = context.wrap_socket(self.sock, server_hostname=name)
        self.got = b""
        self.ended = False

    def send(self, data):
        """What the other side does not want to hear any more is not an error."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def read(self, seconds):
        self.sock.settimeout(max(seconds, 0.001))
        try:
            part = self.sock.recv(65536)
            self.ended = self.ended or not part
            self.got += part
            return bool(part)
        except TimeoutError:
            return False
        except OSError:
            self.ended = True
            return False

    def until(self, done, seconds=DEADLINE):
        """Reads until done(bytes so far), the end, or the deadline."""
        end = time.monotonic() + seconds
        while not self.ended and not done(self.got) and time.monotonic() < end:
            self.read(end - time.monotonic())
        return self.got

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def responses(data):
    """The complete HTTP/1 responses in data: [(status, head, body)], and what is left."""
    out = []
    while True:
        head, sep, rest = data.partition(b"\r\n\r\n")
        if not sep:
            return out, data
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        if status < 200:
            data = rest
            continue
        if re.search(rb"(?im)^transfer-encoding: *chunked", head):
            end = rest.find(b"0\r\n\r\n")
            if end < 0:
                return out, data
            out.append((status, head, rest[:end]))
            data = rest[end + 5:]
            continue
        n = int(length.group(1)) if length else 0
        if len(rest) < n:
            return out, data
        out.append((status, head, rest[:n]))
        data = rest[n:]


def http1(port, data, context=None, want=1):
    """Sends the bytes, reads until `want` responses are complete or the end: ([responses], ended)."""
    with Raw(port, context) as r:
        r.send(data)
        r.until(lambda got: len(responses(got)[0]) >= want)
        # A refusal closes; wait for that, so that nothing that follows is answered.
        if responses(r.got)[0] and b"close" in responses(r.got)[0][-1][1].lower():
            r.until(lambda got: False)
        return responses(r.got)[0], r.ended
