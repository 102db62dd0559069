"""ingress_listen.py - where the proxy listens: ":PORT" is IPv4 and IPv6, also across a takeover, and every client has its own address.

A machine without IPv6 is told by the first check, and has fewer of the others.
"""
import http.client
import os
import re
import socket
import subprocess
import threading
import time

import tap
from proxy_kit import BUILD, DEADLINE, WORK, Folder, Listener, Proxy, any_certificate, certificate, whole_requests
from tap import check, section, soon

V4, V6 = "127.0.0.1", "::1"


def echo(s, _):
    """Answers with the head that came."""
    for request in whole_requests(s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request) + request)


def ask(proxy, address, host="any.example", https=False):
    """(status, text)"""
    with socket.create_connection((address, proxy.https if https else proxy.http), DEADLINE) as raw:
        c = http.client.HTTPConnection("x")
        c.sock = any_certificate().wrap_socket(raw, server_hostname=host) if https else raw
        c.request("GET", "/", headers={"Host": host, "Connection": "close"})
        r = c.getresponse()
        return r.status, r.read().decode()


def serves(proxy, address, https=False):
    try:
        return ask(proxy, address, https=https)[0] == 200
    except ConnectionRefusedError:
        return False


def header(text, name):
    return re.findall(rf"(?mi)^{name}: (.*?)\r?$", text)


def listening(like, *texts, handover=None):
    """The addresses with PORT for the two ports; a flag that comes again wins."""
    flags = [f for name, text, port in zip(("--http", "--https"), texts * 2, (like.http, like.https)) for f in (name, text.replace("PORT", str(port)))]
    p = Proxy(folder, *flags, *(("--handover", handover) if handover else ()), like=like)
    p.ready()
    return p


class Ports:
    def __init__(self):
        p = Proxy(folder)
        self.http, self.https, self.admin = p.http, p.https, p.admin
        p.ready()
        p.kill()
        p.ended()


def end(proxy):
    proxy.signal(15)
    proxy.ended()


def addresses():
    section("all addresses")
    folder.globals(disable_access_log="false")
    p = listening(Ports(), ":PORT")
    for https in (False, True):
        for address in (V4, V6):
            status, text = ask(p, address, https=https)
            check(f"{address}{', TLS' if https else ''}: the upstream is told", status == 200 and header(text, "X-Real-IP") ==
                  header(text, "X-Forwarded-For") == [address], text)
    check("an allowed range: IPv4", ask(p, V4, "six.example")[0] == 403 and ask(p, V4, "four.example")[0] == 200)
    check("an allowed range: IPv6", ask(p, V6, "six.example")[0] == 200 and ask(p, V6, "four.example")[0] == 403)
    first = [ask(p, a, "rate.example")[0] for a in (V4, V4, V4, V6, V6, V6)]
    check("a rate is each address's own", first == [200, 200, 503] * 2, first)
    soon("the access log has both", lambda: re.search(r"(?m)^127\.0\.0\.1 - ", p.log()) and re.search(r"(?m)^::1 - ", p.log()))
    check("and none in the other's clothes", "::ffff" not in p.log(), p.log())
    end(p)
    folder.globals()


def one_family():
    section("one family")
    for text, four, six in (("127.0.0.1:PORT", True, False), ("0.0.0.0:PORT", True, False), ("[::1]:PORT", False, True), ("[::]:PORT", True, True)):
        p = listening(Ports(), text)
        got = [serves(p, a, https) for https in (False, True) for a in (V4, V6)]
        check(text, got == [four, six] * 2, got)
        end(p)


def takeovers():
    section("takeovers")
    name = f"portico-listen-{time.monotonic_ns()}"
    ports = Ports()
    rows = (("0.0.0.0:PORT", False), (":PORT", True), (":PORT", True), ("0.0.0.0:PORT", False), (":PORT", True))
    old, running, failures, count = None, True, [], [0]

    def client(address, served):
        while running:
            with served:
                try:
                    if ask(ports, address)[0] != 200:
                        failures.append(address)
                    count[0] += 1
                except OSError as e:
                    failures.append(f"{address}: {e}")
    six = threading.Lock()  # whoever has it may ask, or end the service
    threads = [threading.Thread(target=client, args=a) for a in ((V4, threading.Lock()), (V6, six))]
    for i, (text, wanted) in enumerate(rows):
        if i == 3:
            six.acquire()
        p = listening(ports, text, handover=name)
        check(f"{i}, {text}: IPv4", serves(p, V4) and serves(p, V4, True))
        if old:
            check(f"{i}, {text}: the one before ends", old.ended() == 0, old.log())
        got = [serves(p, V6), serves(p, V6, True)]
        check(f"{i}, {text}: IPv6", got == [wanted] * 2, got)
        if i == 1:
            for t in threads:
                t.start()
        old = p
    running = False
    six.release()
    for t in threads:
        t.join()
    check(f"none of {count[0]} requests failed meanwhile", count[0] > 10 and not failures, failures[:8])
    end(old)
    old = listening(ports, "[::]:PORT", handover=name)
    p = listening(ports, ":PORT", handover=name)
    check("one socket for both is taken over as it is", old.ended() == 0 and serves(p, V4) and serves(p, V6), p.log())
    end(p)


def taken():
    section("a port that is taken")
    ports = Ports()
    with socket.socket(socket.AF_INET6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((V6, ports.https))
        s.listen()
        r = subprocess.run([f"{BUILD}/portico", "ingress", "--from", folder.path, "--http", f":{ports.http}", "--https", f":{ports.https}",
                            "--ingress-admin-address", f"127.0.0.1:{ports.admin}"], capture_output=True, text=True, timeout=20)
        said = r.stdout + r.stderr
        check("IPv6 alone: it is told which", r.returncode != 0 and f"[::]:{ports.https}" in said, said)


def given():
    section("sockets of the supervisor")
    for names in (("http", "https", "http6", "https6"), ("http", "https")):
        ports, held = Ports(), []
        for name in names:
            s = socket.socket(socket.AF_INET6 if name.endswith("6") else socket.AF_INET)
            if name.endswith("6"):
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((V6 if name.endswith("6") else V4, ports.https if "https" in name else ports.http))
            s.listen()
            os.set_inheritable(s.fileno(), True)
            held.append(s)
        listens = ",".join(f"{name}:{s.fileno()}" for name, s in zip(names, held))
        r = subprocess.Popen([f"{BUILD}/portico", "ingress", "--from", folder.path, "--http", f":{ports.http}", "--https", f":{ports.https}",
                              "--ingress-admin-address", f"127.0.0.1:{ports.admin}"], close_fds=False, env={**os.environ, "PORTICO_LISTEN": listens},
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        soon(f"{', '.join(names)}: IPv4", lambda: serves(ports, V4) and serves(ports, V4, True))
        got = [serves(ports, V6), serves(ports, V6, True)]
        check(f"{', '.join(names)}: IPv6", got == ["http6" in names] * 2, got)
        r.terminate()
        check("it ends, in order", r.wait(DEADLINE) == 0)
        for s in held:
            s.close()


folder = Folder()
certificate_of = certificate("any.example")
backend = Listener(echo)
folder.service("echo", backend.port)
folder.secret("any", *certificate_of)
folder.ingress("any", "any.example", "echo", secret="any", ssl_redirect="false")
folder.ingress("six", "six.example", "echo", whitelist_source_range="::1/128")
folder.ingress("four", "four.example", "echo", whitelist_source_range="127.0.0.0/8")
folder.ingress("rate", "rate.example", "echo", limit_rpm=1, limit_burst_multiplier=1)
folder.globals()

with open("/proc/net/if_inet6") if os.path.exists("/proc/net/if_inet6") else open(os.devnull) as f:
    has_six = "00000000000000000000000000000001 " in f.read()
check("this machine has IPv6" if has_six else "this machine has no IPv6: IPv4 alone", True)
if has_six:
    for part in (addresses, one_family, takeovers, taken, given):
        part()
else:
    alone = listening(Ports(), ":PORT")
    check("IPv4", serves(alone, V4) and serves(alone, V4, True))
    end(alone)
tap.finish()
