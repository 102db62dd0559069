#!/usr/bin/env python3
"""change.py - how long after the API server's answer a new Service can be resolved, and how long a deleted one still is.

  change.py ROUNDS API CERT KEY NAME=PORT…   servers on 127.0.0.1; they take turns

Prints a line per server: median and 99th percentile in microseconds, of creations and of deletions, and how often a denial was
seen after the name had been there, or the other way round.
"""
import http.client, json, socket, ssl, struct, sys, time

LIMIT_S = 10


def question(i, name):
    wire = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"
    return struct.pack(">6H", i & 0xffff, 0x100, 1, 0, 0, 0) + wire + struct.pack(">2H", 1, 1)


def until(port, name, want):
    """Seconds until the rcode is `want`; and whether it went back within five more questions."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("127.0.0.1", port))
    s.settimeout(0.2)
    start, i, again = time.perf_counter(), 0, 0
    took = None
    while time.perf_counter() - start < LIMIT_S:
        i += 1
        s.send(question(i, name))
        try:
            answer = s.recv(2048)
        except socket.timeout:
            continue
        if struct.unpack(">H", answer[:2])[0] != i & 0xffff:
            continue
        if answer[3] & 15 == want:
            took = took or time.perf_counter() - start
            again += 1
            if again == 5:
                return took, False
        elif took:
            return took, True
    return LIMIT_S, False


def main(rounds, api, cert, key, *servers):
    servers = dict(s.split("=") for s in servers)
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.load_cert_chain(cert, key)
    c = http.client.HTTPSConnection(api, context=tls)

    def call(method, path, body=None):
        c.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        if r.status >= 300:
            sys.exit(f"{method} {path}: {r.status}")

    took = {s: ([], []) for s in servers}
    back = dict.fromkeys(servers, 0)
    for i in range(int(rounds)):
        for s, port in servers.items():
            name = f"fresh-{s}-{i}"
            host = f"{name}.ns-0.svc.cluster.local"
            path = "/api/v1/namespaces/ns-0/services"
            call("POST", path, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                                "spec": {"ports": [{"port": 80}]}})
            seconds, went = until(int(port), host, 0)
            took[s][0].append(seconds)
            back[s] += went
            call("DELETE", f"{path}/{name}")
            seconds, went = until(int(port), host, 3)
            took[s][1].append(seconds)
            back[s] += went
    for s, kinds in took.items():
        cells = []
        for kind, values in zip(("created", "deleted"), kinds):
            values.sort()
            cells.append(f"{kind} p50 {values[len(values) // 2] * 1e6:.0f} p99 {values[int(len(values) * .99)] * 1e6:.0f} us")
        print(f"{s:10} {'; '.join(cells)}; went back {back[s]}")


main(*sys.argv[1:])
