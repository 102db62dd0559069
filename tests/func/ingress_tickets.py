"""ingress_tickets.py - sessions are resumed by another process: keys of tickets from a secret that both have.

Needs openssl's s_client, which is the client of every check but the load.
"""
import base64
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import tap
from proxy_kit import BUILD, WORK, DEADLINE, Folder, Listener, Proxy, any_certificate, certificate, whole_requests
from tap import check, section, soon

VERSIONS = ("tls1_2", "tls1_3")
CHANGES = 40


def backend(s, _):
    for _ in whole_requests(s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")


def key(n=80):
    return base64.b64encode(os.urandom(n)).decode()


def visit(proxy, version, held=None, cert=None):
    """(was `held` resumed?, a file with the session that came of it); None instead of true or false: no answer."""
    out = tempfile.mktemp(prefix="session.", dir=WORK)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.https}", "-servername", "app.example", f"-{version}", "-ign_eof", "-sess_out", out]
    command += ["-sess_in", held] if held and os.path.exists(held) else []  # without tickets there is none
    command += ["-cert", cert[0], "-key", cert[1]] if cert else []
    r = subprocess.run(command, input=b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n", capture_output=True, timeout=20)
    if b"HTTP/1.1 200" not in r.stdout:
        return None, out
    return b"\nReused, TLS" in r.stdout, out


def resumes(name, first, second, expected=True, cert=None):
    for version in VERSIONS:
        whole, held = visit(first, version, cert=cert)
        again, _ = visit(second, version, held, cert)
        check(f"{name}: {version}", whole is False and again is expected, (whole, again))


def write(name, data):
    with open(f"{WORK}/{name}", "wb") as f:
        f.write(data)
    return f"{WORK}/{name}"


def settle(*proxies):
    """What was put into the folder before is in force: a host that came after it is served."""
    settle.n += 1
    host = f"settled{settle.n}.example"
    folder.ingress("settled", host, "app")
    for p in proxies:
        soon(f"settled {settle.n}", lambda p=p: plain(p, host) == 200)


settle.n = 0


def plain(proxy, host):
    with socket.create_connection(("127.0.0.1", proxy.http), DEADLINE) as s:
        s.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while part := s.recv(4096):
            data += part
    return int(data[9:12]) if len(data) > 12 else 0


def secret(name, **data):
    folder.put(f"secret-{name}", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "ingress-nginx"},
                                  "data": {k.replace("_", "."): base64.b64encode(v).decode() for k, v in data.items()}})


folder, echo = Folder(), Listener(backend)
folder.service("app", echo.port)
folder.secret("app", *certificate("app.example"))
folder.ingress("app", "app.example", "app", secret="app")
folder.globals()
one, two = Proxy(folder), Proxy(folder)
one.ready()
two.ready()


def without():
    section("without a secret: keys of one's own")
    resumes("by itself", one, one)
    resumes("not by another process", one, two, False)


def shared():
    section("with the same ssl-session-ticket-key")
    for n in (80, 48):
        folder.globals(ssl_session_ticket_key=key(n))
        settle(one, two)
        resumes(f"{n} bytes: from one to the other", one, two)
        resumes(f"{n} bytes: and back", two, one)
    folder.globals(ssl_session_ticket_key=key(), ssl_session_tickets="false")
    settle(one, two)
    resumes("tickets are off", one, two, False)


def restarted():
    section("restarts and takeovers")
    folder.globals()
    handover = ("--handover", f"portico-tickets-{time.monotonic_ns()}")
    first = Proxy(folder, *handover)
    first.ready()
    held = {v: visit(first, v)[1] for v in VERSIONS}
    for turn in ("the next process", "and the one after it"):
        second = Proxy(folder, *handover, like=first)
        second.ready()
        check("the one before has ended", first.ended() == 0, first.log())
        check(f"random keys are handed over: {turn} resumes", all(visit(second, v, held[v])[0] for v in VERSIONS))
        first = second
    first.kill()
    folder.globals(ssl_session_ticket_key=key())
    handover = ("--handover", f"portico-tickets-{time.monotonic_ns()}")
    first = Proxy(folder, *handover)
    first.ready()
    held = {v: visit(first, v)[1] for v in VERSIONS}
    second = Proxy(folder, *handover, like=first)
    second.ready()
    check("the first has ended", first.ended() == 0, first.log())
    check("takeover: the next process resumes", all(visit(second, v, held[v])[0] for v in VERSIONS))
    second.signal(signal.SIGKILL)
    second.ended()
    third = Proxy(folder)
    third.ready()
    check("killed and started again: it resumes", all(visit(third, v, held[v])[0] for v in VERSIONS))
    third.kill()


def changes():
    section("changes")
    folder.globals(ssl_session_ticket_key=key())
    settle(one, two)
    held = {v: visit(one, v)[1] for v in VERSIONS}
    folder.globals(ssl_session_ticket_key=key())
    settle(one, two)
    check("another key: what was made under the one before is taken", all(visit(two, v, held[v])[0] for v in VERSIONS))
    resumes("and the new one is in use", one, two)
    for bad in ("AAAA", "not/base64!", key(32)):
        held = {v: visit(one, v)[1] for v in VERSIONS}
        before = one.log().count("ConfigMapParsingFailed")
        folder.globals(ssl_session_ticket_key=bad)
        settle(one, two)
        check(f"{len(bad)} characters of nonsense are told", one.log().count("ConfigMapParsingFailed") > before and bad not in one.log(), one.log())
        check("and the key in force stays", all(visit(two, v, held[v])[0] for v in VERSIONS))
        resumes("for new sessions, too", one, two)


def named():
    section("the key in a Secret")
    folder.globals(ssl_session_ticket_secret="keys")
    settle(one, two)
    check("a Secret that is missing is told", "Secret ingress-nginx/keys does not exist" in one.log(), one.log())
    resumes("the key in force stays", one, two)
    for name, value in (("bytes", os.urandom(80)), ("base64", key().encode()), ("the shorter one", os.urandom(48))):
        held = {v: visit(one, v)[1] for v in VERSIONS}
        secret("keys", tickets_key=value)
        settle(one, two)
        check(f"{name}: sessions of the key before", all(visit(two, v, held[v])[0] for v in VERSIONS))
        fresh = Proxy(folder)
        fresh.ready()
        resumes(f"{name}: a process that starts now has it", one, fresh)
        fresh.kill()


def certificates():
    section("client certificates")
    crt, pem = certificate("client")
    folder.put("secret-ca", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca", "namespace": "default"},
                             "data": {"ca.crt": base64.b64encode(crt).decode()}})
    folder.ingress("app", "app.example", "app", secret="app", auth_tls_secret="default/ca")
    cert = write("client.crt", crt), write("client.key", pem)
    settle(one, two)
    check("without a certificate nobody gets through", visit(one, "tls1_3")[0] is None)
    resumes("a session that was checked resumes elsewhere", one, two, cert=cert)
    version = "tls1_2"
    held = visit(one, version, cert=cert)[1]
    other, _ = certificate("other")
    folder.put("secret-ca", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca", "namespace": "default"},
                             "data": {"ca.crt": base64.b64encode(other).decode()}})
    settle(one, two)
    check("after other authorities came it does not", visit(two, version, held)[0] is None)
    folder.ingress("app", "app.example", "app", secret="app")
    settle(one, two)


def load():
    section(f"{CHANGES} changes of the key under load")
    running, count, resumed, failures = True, [0], [0], []

    def client(version):
        context, held, n = any_certificate(), None, 0
        context.minimum_version = context.maximum_version = version
        while running:
            n += 1
            try:
                with socket.create_connection(("127.0.0.1", (one, two)[n % 2].https), DEADLINE) as raw:
                    with context.wrap_socket(raw, server_hostname="app.example", session=held) as s:
                        s.sendall(b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")
                        data = b""
                        while part := s.recv(4096):
                            data += part
                        held = s.session
                        resumed[0] += s.session_reused
                count[0] += 1
                if not data.startswith(b"HTTP/1.1 200"):
                    failures.append(data[:80])
            except (OSError, ssl.SSLError) as e:
                failures.append(repr(e))

    threads = [threading.Thread(target=client, args=(v,)) for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) * 2]
    for t in threads:
        t.start()
    for i in range(CHANGES):
        folder.globals(ssl_session_ticket_key=key() if i % 8 else "nonsense")
        time.sleep(0.05)
    running = False
    for t in threads:
        t.join()
    check(f"none of {count[0]} requests failed", count[0] > 100 and not failures, failures[:8])
    print(f"# {resumed[0]} of {count[0]} sessions were resumed")
    check("most were resumed", resumed[0] > count[0] // 2, resumed)


def findings():
    section("portico ingress check")
    for value, told in ((key(), False), ("AAAA", True)):
        path = write("check.yaml", f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"ingress-nginx-controller","namespace":"ingress-nginx"}},'
                     f'"data":{{"ssl-session-ticket-key":"{value}"}}}}'.encode())
        r = subprocess.run([f"{BUILD}/portico", "ingress", "check", path], capture_output=True, text=True, timeout=20)
        said = r.stdout + r.stderr
        check(f"{'a bad' if told else 'a good'} value", ("ssl-session-ticket-key" in said) == told and value not in said, said)


for part in (without, shared, restarted, changes, named, certificates, load, findings):
    started = time.monotonic()
    part()
    print(f"# {time.monotonic() - started:.1f} s", flush=True)
tap.finish()
