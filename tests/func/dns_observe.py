"""dns_observe.py BUILD-DIR - the DNS role from manifests, an upstream of our own, and everything that shows what happens."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

import tap

DNS, ADMIN, METRICS, HEALTH, READY, UPSTREAM = 5300, 5301, 5302, 5303, 5304, 5305
OBJECTS = """
{kind: Namespace, apiVersion: v1, metadata: {name: default}}
---
{kind: Service, apiVersion: v1, metadata: {name: web, namespace: default}, spec: {clusterIP: 10.96.0.20, ports: [{port: 80}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: client, namespace: default}, spec: {containers: [{name: c, image: x}]},
 status: {phase: Running, podIP: 127.0.0.1, podIPs: [{ip: 127.0.0.1}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: other, namespace: default}, spec: {containers: [{name: c, image: x}], dnsPolicy: None,
 dnsConfig: {nameservers: [192.0.2.1], searches: [corp], options: [{name: ndots, value: "2"}]}}, status: {podIP: 10.244.0.9}}
"""
COREFILE = f""".:{DNS} {{
	errors
	health :{HEALTH} {{
		lameduck 1s
	}}
	ready :{READY}
	kubernetes cluster.local
	prometheus :{METRICS}
	forward . 127.0.0.1:{UPSTREAM}
	cache 30
	log . {{common}} {{
		class denial success
	}}
}}
"""


def encode(name):
    return b"".join(bytes([len(l)]) + l.encode() for l in name.rstrip(".").split(".") if l) + b"\0"


def upstream(sock):
    """example.com has an address, nothing else exists."""
    while True:
        query, client = sock.recvfrom(4096)
        end = query.index(b"\0", 12) + 5
        found = query[12:end].lower() == encode("www.example.com") + b"\0\1\0\1"
        head = query[:2] + (b"\x81\x80" if found else b"\x81\x83") + b"\0\1" + (b"\0\1" if found else b"\0\0") + b"\0\0\0\0"
        sock.sendto(head + query[12:end] + (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7" if found else b""), client)


def ask(name, qtype=1):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.sendto(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + encode(name) + struct.pack(">HH", qtype, 1), ("127.0.0.1", DNS))
    return sock.recv(4096)[3] & 15


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError:
        return 0, ""


def strict(text):
    """What is wrong with an exposition in Prometheus' text format; empty: nothing."""
    family, types, seen, counts = None, {}, set(), {}
    for line in filter(None, text.split("\n")):
        comment = re.match(r"# (HELP|TYPE) ([a-zA-Z_:]\w*) (.*)$", line)
        if comment:
            if comment[1] == "HELP" and comment[2] in types:
                return "twice: " + line
            types[comment[2]] = comment[3] if comment[1] == "TYPE" else None
            family = comment[2]
            continue
        sample = re.match(r"([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)$", line)
        if not sample:
            return line
        base = re.sub(r"_(bucket|sum|count)$", "", sample[1]) if types[family] == "histogram" else sample[1]
        if base != family or (sample[1], sample[2]) in seen:
            return "not of its family, or twice: " + line
        seen.add((sample[1], sample[2]))
        if sample[2] and re.sub(r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"(,|$)', "", sample[2]):
            return "labels: " + line
        if sample[1].endswith("_bucket"):
            key = sample[1], re.sub(r',?le="[^"]*"', "", sample[2])
            if float(sample[3]) < counts.get(key, 0):
                return "buckets shrink: " + line
            counts[key] = float(sample[3])
    return ""


def run(portico, work):
    def command(*words):
        return subprocess.run([portico, "dns", *words, "--dns-admin-address", f"127.0.0.1:{ADMIN}"], capture_output=True, text=True,
                              timeout=60)

    def lines():
        return open(f"{work}/out").read()

    tap.section("questions and metrics")
    if not tap.soon("/ready says yes", lambda: get(READY, "/ready") == (200, "OK")):
        return
    tap.check("a Service is answered", ask("web.default.svc.cluster.local") == 0)
    tap.check("what is not there is denied", ask("nothing.default.svc.cluster.local") == 3)
    tap.check("other names are forwarded", ask("www.example.com") == 0 and ask("www.example.com") == 0)
    status, text = get(METRICS, "/metrics")
    tap.check("the exposition is well-formed", status == 200 and not strict(text), strict(text))
    labels = f'server="dns://:{DNS}",zone=".",view=""'
    for sample in (f'coredns_dns_requests_total{{{labels},proto="udp",family="1",type="A"}} 4',
                   f'coredns_dns_responses_total{{{labels},rcode="NXDOMAIN",plugin="kubernetes"}} 1',
                   f'coredns_dns_responses_total{{{labels},rcode="NOERROR",plugin="forward"}} 1',
                   f'coredns_dns_responses_total{{{labels},rcode="NOERROR",plugin="cache"}} 1',
                   f'coredns_dns_request_duration_seconds_count{{{labels}}} 4',
                   f'coredns_plugin_enabled{{{labels},name="forward"}} 1', "coredns_panics_total 0"):
        tap.check(sample.split("{")[0] + " " + sample.split("} ")[-1], f"\n{sample}\n" in text, text[:2000])
    tap.check("the same at the admin address", not strict(get(ADMIN, "/metrics")[1]))
    tap.check("a plug-in's listener has its path only", get(HEALTH, "/health") == (200, "OK") and get(HEALTH, "/metrics")[0] == 404)

    tap.section("query log")
    tap.soon("a line for each question", lambda: lines().count("\n") == 4)
    tap.check("in CoreDNS' format", re.search(r'^\[INFO\] 127\.0\.0\.1:\d+ - 7 "A IN nothing\.default\.svc\.cluster\.local\. udp 51 false 512" '
                                              r'NXDOMAIN qr,aa,rd(,ra)? \d+ 0(\.\d+)?s$', lines(), re.M), lines())

    tap.section("query")
    doc = json.loads(command("query", "www.example.com", "--from", "client", "--output", "json").stdout)
    names = [n["name"] for n in doc["names"]]
    tap.check("the search list is walked", names == ["www.example.com.default.svc.cluster.local.", "www.example.com.svc.cluster.local.",
                                                     "www.example.com.cluster.local.", "www.example.com."], names)
    tap.check("until there is an answer", doc["names"][3]["source"] == "cache" and doc["result"]["rcode"] == "NOERROR", doc)
    tap.check("with a hint", "save 3" in " ".join(doc["hints"]), doc["hints"])
    doc = json.loads(command("query", "db", "--from", "10.244.0.9", "--output", "json").stdout)
    tap.check("dnsConfig counts, by address", [n["name"] for n in doc["names"]] == ["db.corp.", "db."], doc)
    done = command("query", "web.default.svc.cluster.local")
    tap.check("as text", done.returncode == 0 and "Service default/web" in done.stdout and "10.96.0.20" in done.stdout, done.stdout)
    tap.check("nothing found is 1", command("query", "nothing.example").returncode == 1)
    for bad in (["query"], ["query", "a..b"], ["query", "x", "BOGUS"], ["query", "x", "--from", "nobody"], ["log", "--rcode", "X"],
                ["top", "-n", "0"], ["top", "--output", "xml"]):
        done = command(*bad)
        tap.check("refused: " + " ".join(bad), done.returncode in (1, 2) and done.stderr and not done.stdout, done)

    tap.section("log and top")
    top = subprocess.Popen([portico, "dns", "top", "--once", "-n", "2", "-o", "json", "--server", f"127.0.0.1:{ADMIN}"],
                           stdout=subprocess.PIPE, text=True)
    log = subprocess.Popen([portico, "dns", "log", "--name", "*.example.com", "--client", "default/client", "-o", "json", "--server",
                            f"127.0.0.1:{ADMIN}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    got = []
    reader = threading.Thread(target=lambda: got.extend(log.stdout), daemon=True)
    reader.start()

    def asked():
        ask("web.default.svc.cluster.local")
        ask("nothing.example.com")
        return got
    tap.soon("who follows sees what is asked", asked)
    event = json.loads(got[0]) if got else {}
    tap.check("with its pod and source", event.get("pod") == "default/client" and event.get("rcode") == "NXDOMAIN" and
              event.get("source") in ("upstream", "cache"), event)
    log.terminate()
    doc = json.loads(top.communicate(timeout=20)[0])
    tap.check("top counts names", {n["name"] for n in doc["names"]} >= {"web.default.svc.cluster.local.", "nothing.example.com."}, doc)
    tap.check("and clients", doc["clients"][0].get("pod") == "default/client" and doc["lost"] == 0, doc)

    tap.section("the end")
    role.send_signal(signal.SIGTERM)
    tap.soon("/ready says no", lambda: get(READY, "/ready") == (503, "Shutting down"))
    tap.check("questions are answered meanwhile", ask("web.default.svc.cluster.local") == 0 and get(HEALTH, "/health")[0] == 200)
    tap.check("then it ends", role.wait(timeout=10) == 0)


build = sys.argv[1]
work = tempfile.mkdtemp(prefix="portico-dns-observe-")
os.chmod(work, 0o755)  # the role gives up its user
os.mkdir(f"{work}/objects")
open(f"{work}/objects/all.yaml", "w").write(OBJECTS)
open(f"{work}/Corefile", "w").write(COREFILE)
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.bind(("127.0.0.1", UPSTREAM))
threading.Thread(target=upstream, args=(peer,), daemon=True).start()
role = subprocess.Popen([f"{build}/portico", "dns", "--from", f"{work}/objects", "--corefile", f"{work}/Corefile", "--workers", "2",
                         "--dns-admin-address", f"127.0.0.1:{ADMIN}"], stdout=open(f"{work}/out", "w"), stderr=open(f"{work}/err", "w"))
try:
    run(f"{build}/portico", work)
finally:
    if role.poll() is None or role.returncode:
        role.kill()
        print("# the role's log:", *open(f"{work}/err").read().splitlines()[-10:], sep="\n#   ")
    shutil.rmtree(work)
print(f"1..{tap.passed + tap.failed}")
sys.exit(1 if tap.failed else 0)
