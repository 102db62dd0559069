"""dns_clients.py BUILD-DIR - the resolvers that people have, asking the DNS role: every kind of name, and that a denial is quick. (root)

glibc (getent, a dynamic and a static program, Python), musl, BusyBox, dig, host, nslookup, kdig, and as servers that forward to it
unbound and systemd-resolved. What is not installed is skipped. RESOLVED=PATH names a systemd-resolved. Prints TAP.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import dns_kit
from dns_kit import A, AAAA, CLUSTER, NXDOMAIN, Role, Upstream, big_slice, name, record, reply, soa
from tap import check, finish, section

dns_kit.isolate("--mount")
build, here = sys.argv[1], os.path.dirname(os.path.abspath(sys.argv[0]))
work = tempfile.mkdtemp(prefix="portico-dns-clients-")
os.chmod(work, 0o755)
QUICK = 2.0  # seconds; a resolver that waits for an answer waits five
OBJECTS = CLUSTER + big_slice() + """---
{kind: Service, apiVersion: v1, metadata: {name: dual, namespace: default},
 spec: {clusterIP: 10.96.0.21, clusterIPs: [10.96.0.21, "fd00:96::21"], ports: [{name: http, port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: six, namespace: default}, spec: {clusterIP: "fd00:96::22", ports: [{name: http, port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: db, namespace: default}, spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}}
---
{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {name: db-1, namespace: default, labels: {kubernetes.io/service-name: db}},
 addressType: IPv4, ports: [{name: sql, port: 5432, protocol: TCP}],
 endpoints: [{addresses: [10.244.9.1], hostname: db-0, conditions: {ready: true}}, {addresses: [10.244.9.2], conditions: {ready: true}}]}
---
{kind: Namespace, apiVersion: v1, metadata: {name: other}}
---
{kind: Service, apiVersion: v1, metadata: {name: api, namespace: other}, spec: {clusterIP: 10.96.0.30, ports: [{port: 80}]}}
"""
CHAIN = """
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		pods insecure
		ttl 30
		fallthrough in-addr.arpa ip6.arpa
	}
	forward . 127.0.0.1:5399
	cache 30
"""
NOBODY = "no such name"
# name as a pod asks for it, its full name, addresses
NAMES = [
    ("web", "web.default.svc.cluster.local", ["10.96.0.20"]),
    ("WEB.Default", "web.default.svc.cluster.local", ["10.96.0.20"]),
    ("web.default.svc", "web.default.svc.cluster.local", ["10.96.0.20"]),
    ("web.default.svc.cluster.local", "web.default.svc.cluster.local", ["10.96.0.20"]),
    ("web.default.svc.cluster.local.", "web.default.svc.cluster.local", ["10.96.0.20"]),
    ("api.other", "api.other.svc.cluster.local", ["10.96.0.30"]),
    ("dual", "dual.default.svc.cluster.local", ["10.96.0.21", "fd00:96::21"]),
    ("six", "six.default.svc.cluster.local", ["fd00:96::22"]),
    ("db", "db.default.svc.cluster.local", ["10.244.9.1", "10.244.9.2"]),
    ("db-0.db", "db-0.db.default.svc.cluster.local", ["10.244.9.1"]),
    ("10-244-9-2.db", "10-244-9-2.db.default.svc.cluster.local", ["10.244.9.2"]),
    ("10-1-2-3.default.pod.cluster.local", "10-1-2-3.default.pod.cluster.local", ["10.1.2.3"]),
    ("outside", "outside.default.svc.cluster.local", ["192.0.2.7"]),
    ("www.example.com", "www.example.com", ["192.0.2.7"]),
    ("alias.example.com", "alias.example.com", ["192.0.2.7"]),
]
MISSING = [("nothing", "nothing.default.svc.cluster.local"), ("web.nowhere", "web.nowhere.svc.cluster.local"),
           ("nothing.example.com", "nothing.example.com"), ("default.svc.cluster.local", "default.svc.cluster.local")]


def answer(query, client, tcp):
    asked, kind = query[12:dns_kit.skip_name(query, 12)].lower(), query[dns_kit.skip_name(query, 12) + 1]
    address = [record(rdata=b"\xc0\0\2\7", owner=name("www.example.com"))] if kind == A else []
    if asked == name("alias.example.com"):
        parts = [record(dns_kit.CNAME, name("www.example.com"))] + address
    elif asked == name("www.example.com"):
        parts = address
    else:
        return reply(query, soa(), 0 if asked in (name("example.com"), name("com"), b"\0") else NXDOMAIN, (0, 1, 0))
    return reply(query, b"".join(parts) or soa(), 0, (len(parts), 0, 0) if parts else (0, 1, 0))


def run(*words, seconds=20):
    start = time.monotonic()
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds)
        return done.stdout + done.stderr, time.monotonic() - start
    except subprocess.TimeoutExpired as e:
        return f"not within {seconds} s: {e.stdout}", seconds


def put(path, text):
    """In place of a file of the machine's, in this mount namespace only."""
    mine = f"{work}/{os.path.basename(path)}"
    with open(mine, "w") as f:
        f.write(text)
    subprocess.run(["mount", "--bind", mine, os.path.realpath(path)], check=True)


def compiled(text, *compiler):
    program = f"{work}/{text}"
    if not shutil.which(compiler[0]):
        return None
    done = subprocess.run([*compiler, "-O1", "-o", program, f"{here}/dns_resolve.c"], capture_output=True, text=True)
    return program if done.returncode == 0 else None


# ---- resolvers in a process: name -> addresses, or why not ----

def by_program(program):
    def ask(what):
        out, seconds = run(program, what)
        found = out.split(":", 1)[1].strip() if ":" in out else out
        return (sorted(set(found.split())) if re.match(r"[0-9a-f]+[.:]", found) else found), seconds
    return ask


def by_getent(what):
    out, seconds = run("getent", "ahosts", what)
    return sorted({line.split()[0] for line in out.splitlines()}) or NOBODY, seconds


def by_python(what):
    start = time.monotonic()
    try:
        found = sorted({a[4][0] for a in socket.getaddrinfo(what, None, type=socket.SOCK_STREAM)})
    except socket.gaierror as e:
        found = NOBODY if e.errno == socket.EAI_NONAME else str(e)
    return found, time.monotonic() - start


def resolvers():
    glibc, static = compiled("glibc-dynamic", "gcc"), compiled("glibc-static", "gcc", "-static")
    musl = compiled("musl-static", "musl-gcc", "-static")
    clients = [("getent", by_getent, 1000), ("Python", by_python, 1000), ("glibc", glibc and by_program(glibc), 1000),
               ("glibc, static", static and by_program(static), 1000),
               ("musl", musl and by_program(musl), 20)]  # 1.2.3 knows no TCP: as many as come in the truncated answer
    for text, ask, many in clients:
        if not ask:
            print(f"ok # SKIP {text} is not installed")
            continue
        section(text)
        for what, _, want in NAMES:
            got, seconds = ask(what)
            check(f"{text}: {what}", got == sorted(want) and seconds < QUICK, f"want {want}\ngot  {got} after {seconds:.1f} s")
        for what, _ in MISSING:
            got, seconds = ask(what)
            # An empty answer is a name without addresses; whoever asks is told either.
            check(f"{text}: {what} is not there ({seconds * 1000:.0f} ms)", isinstance(got, str) and got != "try again" and seconds < QUICK, got)
        got, seconds = ask("big")
        check(f"{text}: 1,000 endpoints: {len(got)} ({seconds * 1000:.0f} ms)", isinstance(got, list) and len(got) >= many and seconds < QUICK, got)
    out, _ = run("getent", "hosts", "10.96.0.20")
    check("getent: the name of an address", "web.default.svc.cluster.local" in out, out)
    out, seconds = run("getent", "hosts", "10.96.0.99")
    check("getent: an address without one", out == "" and seconds < QUICK, out)


# ---- tools ----

def tools():
    section("tools")
    full = "web.default.svc.cluster.local"
    rows = [
        ("dig", f"dig +short {full}", r"^10\.96\.0\.20$"),
        ("dig, search list", "dig +search +short web", r"^10\.96\.0\.20$"),
        ("dig, over TCP, kept open", f"dig +tcp +keepopen {full} {full} AAAA", r"10\.96\.0\.20(.|\n)*SOA"),
        ("dig, EDNS of all kinds", f"dig +dnssec +nsid +cookie +subnet=192.0.2.0/24 +padding=64 +ednsopt=65001:00 +ednsflags=0x40 {full}",
         r"(?!(.|\n)*BADVERS)(.|\n)*10\.96\.0\.20"),
        ("dig, EDNS version 1 and back", f"dig +edns=1 {full}", r"10\.96\.0\.20"),
        ("dig, no recursion wanted", f"dig +norecurse +short {full}", r"^10\.96\.0\.20$"),
        ("dig, a transfer", "dig AXFR cluster.local", r"Transfer failed"),
        ("dig, SRV", "dig +short SRV _http._tcp." + full, rf"^0 100 80 {full}\.$"),
        ("dig, 1,000 endpoints by TCP", "dig +short big.default.svc.cluster.local", r"(10\.244\.\d+\.\d+\n){1000}$"),
        ("dig, 1,000 endpoints as SRV", "dig SRV _http._tcp.big.default.svc.cluster.local", r"ANSWER: 1000, "),
        ("dig, PTR", "dig +short -x 10.96.0.20", rf"^{full}\.$"),
        ("host", f"host {full}", r"has address 10\.96\.0\.20"),
        ("host, all it asks", "host dual", r"has address 10\.96\.0\.21\n.*has IPv6 address fd00:96::21\n$"),
        ("host, an address", "host 10.244.9.1", r"pointer db-0\.db\.default\.svc\.cluster\.local"),
        ("host, nothing", "host nothing", r"not found: 3\(NXDOMAIN\)"),
        ("nslookup", "nslookup web", rf"Name:\s*{full}\nAddress: 10\.96\.0\.20"),
        ("busybox", f"busybox nslookup {full}", rf"Name:\s*{full}\s+Address[ 1:]*\s*10\.96\.0\.20"),
        ("kdig", f"kdig +short {full}", r"^10\.96\.0\.20$"),
        ("kdig, TLS", f"kdig @127.0.0.1 +tls +short {full} {full}", r"^10\.96\.0\.20$"),
        ("kdig, TLS, checked", f"kdig @127.0.0.1 +tls-ca={work}/cert.pem +tls-hostname=dns.test +short {full}", r"^10\.96\.0\.20$"),
        ("kdig, TLS, 1,000 endpoints", "kdig @127.0.0.1 +tls +short big.default.svc.cluster.local", r"(10\.244\.\d+\.\d+\n){1000}$"),
        ("kdig, TCP fast open and padding", f"kdig +tcp +fastopen +padding +short {full}", r"^10\.96\.0\.20$"),
    ]
    for text, command, pattern in rows:
        if not shutil.which(command.split()[0]):
            print(f"ok # SKIP {text}: {command.split()[0]} is not installed")
            continue
        out, seconds = run(*command.split())
        check(f"{text} ({seconds * 1000:.0f} ms)", re.search(pattern, out, re.M if "$" in pattern and "{1000}" not in pattern else 0) and seconds < QUICK,
              f"want {pattern}\n{out}")


# ---- servers that forward to it ----

def forwarder(text, server, port, many):
    def dig(*words):
        return run("dig", f"@{server}", "-p", str(port), "+tries=1", "+time=5", *words)
    end = time.monotonic() + 10
    while "status: NOERROR" not in dig("web.default.svc.cluster.local")[0] and time.monotonic() < end:
        time.sleep(0.1)
    for _, full, want in NAMES:
        out = [line for kind in ("A", "AAAA") for line in dig("+short", full, kind)[0].split() if re.match(r"[0-9a-f]+[.:][0-9a-f:.]*[0-9a-f]$", line)]
        check(f"{text}: {full}", sorted(set(out)) == sorted(want), f"want {want}\ngot  {out}")
    for _, full in MISSING[:3]:
        out, seconds = dig(full)
        check(f"{text}: {full} is not there ({seconds * 1000:.0f} ms)", "status: NXDOMAIN" in out and seconds < QUICK, out)
    out, seconds = dig("default.svc.cluster.local")
    check(f"{text}: a name without records", "status: NOERROR" in out and "ANSWER: 0" in out, out)
    out, seconds = dig("+short", "-x", "10.96.0.20")
    check(f"{text}: the name of an address", "web.default.svc.cluster.local." in out, out)
    out, seconds = dig("+tcp", "+short", "big.default.svc.cluster.local")
    check(f"{text}: 1,000 endpoints: {len(out.split())} ({seconds * 1000:.0f} ms)", len(out.split()) == many and seconds < 5, out)


UNBOUND = """server:
	interface: 127.0.0.1
	port: {port}
	username: ""
	chroot: ""
	directory: "{work}"
	pidfile: ""
	use-syslog: no
	logfile: ""
	do-not-query-localhost: no
	module-config: "iterator"
	unblock-lan-zones: yes
	insecure-lan-zones: yes
	num-threads: 1
	hide-identity: yes
	qname-minimisation: yes
	harden-glue: yes
	harden-below-nxdomain: yes
	harden-referral-path: yes
	aggressive-nsec: yes
	use-caps-for-id: {caps}
	tcp-upstream: {tcp}
	tls-cert-bundle: "{work}/cert.pem"
remote-control:
	control-enable: no
forward-zone:
	name: "."
	forward-addr: {address}
	forward-tls-upstream: {tls}
	forward-first: no
"""


def unbound():
    if not shutil.which("unbound"):
        print("ok # SKIP unbound is not installed")
        return
    rows = [("unbound", 5321, "no", "no", "no", "127.0.0.1@53"), ("unbound, 0x20", 5322, "yes", "no", "no", "127.0.0.1@53"),
            ("unbound, TCP", 5323, "no", "yes", "no", "127.0.0.1@53"), ("unbound, TLS", 5324, "no", "no", "yes", "127.0.0.1@853#dns.test")]
    for text, port, caps, tcp, tls, address in rows:
        section(text)
        conf = f"{work}/unbound{port}.conf"
        with open(conf, "w") as f:
            f.write(UNBOUND.format(port=port, work=work, caps=caps, tcp=tcp, tls=tls, address=address))
        server = subprocess.Popen(["unbound", "-d", "-c", conf], stdout=subprocess.DEVNULL, stderr=open(f"{conf}.log", "w"))
        try:
            forwarder(text, "127.0.0.1", port, 1000)
        finally:
            server.kill()
            server.wait()


def resolved():
    program = os.environ.get("RESOLVED", "/lib/systemd/systemd-resolved")
    if not os.access(program, os.X_OK):
        print("ok # SKIP systemd-resolved is not installed")
        return
    with open("/etc/passwd") as f:
        users = f.read()
    if "systemd-resolve:" not in users:
        put("/etc/passwd", users.rstrip() + "\nsystemd-resolve:x:65123:65123::/:/usr/sbin/nologin\n")
    for folder in ("/run", "/etc/systemd"):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True)
    for text, tls in (("systemd-resolved", "no"), ("systemd-resolved, TLS", "opportunistic")):
        section(text)
        with open("/etc/systemd/resolved.conf", "w") as f:
            f.write(f"[Resolve]\nDNS=127.0.0.1#dns.test\nFallbackDNS=\nDomains=~. default.svc.cluster.local\nLLMNR=no\nMulticastDNS=no\nDNSSEC=no\n"
                    f"DNSOverTLS={tls}\nDNSStubListener=yes\nReadEtcHosts=no\n")
        log = f"{work}/resolved-{tls}.log"
        server = subprocess.Popen([program], stdout=subprocess.DEVNULL, stderr=open(log, "w"), env={**os.environ, "SYSTEMD_LOG_TARGET": "console"})
        try:
            forwarder(text, "127.0.0.53", 53, 1000)
        finally:
            server.kill()
            server.wait()
            print("".join(f"# {line}" for line in open(log).readlines()[-6:] if "rror" in line), end="")


def certificate():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=dns.test",
                    "-addext", "subjectAltName=DNS:dns.test,IP:127.0.0.1", "-keyout", f"{work}/key.pem", "-out", f"{work}/cert.pem"],
                   check=True, capture_output=True)
    os.chmod(f"{work}/key.pem", 0o644)


subprocess.run(["mount", "--make-rprivate", "/"], check=True)
put("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")
put("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: dns\n")
put("/etc/hosts", "127.0.0.1 localhost\n")
certificate()
upstream = Upstream(5399, answer)
role = Role(build, f".:53 {{{CHAIN}}}\ntls://.:853 {{\n\ttls {work}/cert.pem {work}/key.pem{CHAIN}}}\n", OBJECTS)
try:
    resolvers()
    tools()
    unbound()
    resolved()
finally:
    role.end()
    shutil.rmtree(work)
finish()
