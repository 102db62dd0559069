#!/usr/bin/env python3
"""objects.py - the same Services for everyone who answers for them.

  objects.py create N SERVER CERT KEY   as objects of an API server ("127.0.0.1:6443", a client certificate)
  objects.py zone N                     as a zone file, to standard output
  objects.py names N KIND               as questions "name TYPE" in random order; KIND: a, pod, nxdomain, srv, mixed
  objects.py manifests N DIR            as files

Service i is svc-i in namespace ns-(i mod 100), with one named port and two endpoints.
"""
import http.client, json, os, random, ssl, sys

ZONE = "cluster.local"


def ip(base, i):
    return f"{base}.{i // 62500 % 16 + (96 if base == '10' else 0)}.{i // 250 % 250}.{i % 250 + 1}"


def names(i):
    return f"svc-{i}", f"ns-{i % 100}"


def service(i):
    name, ns = names(i)
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": ns},
            "spec": {"clusterIP": ip("10", i + 500), "selector": {"app": name},
                     "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}


def slice_of(i):
    name, ns = names(i)
    ends = [{"addresses": [ip("172", 2 * i + k)], "conditions": {"ready": True}} for k in (0, 1)]
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name + "-x", "namespace": ns, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": ends, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}


def objects(n):
    for k in range(min(n, 100)):
        yield "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ns-{k}"}}
    for i in range(n):
        ns = names(i)[1]
        yield f"/api/v1/namespaces/{ns}/services", service(i)
        yield f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices", slice_of(i)


def create(n, server, cert, key):
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.load_cert_chain(cert, key)
    c = http.client.HTTPSConnection(server, context=tls)
    for path, o in objects(n):
        c.request("POST", path, json.dumps(o), {"Content-Type": "application/json"})
        r = c.getresponse()
        text = r.read()
        if r.status not in (201, 409):
            sys.exit(f"{path}: {r.status} {text[:300]}")


def zone(n):
    print(f"$ORIGIN {ZONE}.\n$TTL 30\n@ SOA ns.dns hostmaster 1 7200 1800 86400 30\n@ NS ns.dns\nns.dns A 10.96.0.10")
    for i in range(n):
        name, ns = names(i)
        print(f"{name}.{ns}.svc A {service(i)['spec']['clusterIP']}")
        print(f"_http._tcp.{name}.{ns}.svc SRV 0 100 80 {name}.{ns}.svc")


def questions(n, kind):
    out = []
    for i in range(n):
        name, ns = names(i)
        full = f"{name}.{ns}.svc.{ZONE}"
        out += {"a": [f"{full} A"], "nxdomain": [f"no-{i}.{ns}.svc.{ZONE} A"], "srv": [f"_http._tcp.{full} SRV"],
                "pod": [f"{full} A", f"{full} AAAA"],
                "mixed": [f"{full} A", f"{full} AAAA", f"{full}.{ns}.svc.{ZONE} A", f"_http._tcp.{full} SRV"]}[kind]
    random.Random(7).shuffle(out)
    return out


def main(what, n, *rest):
    n = int(n)
    if what == "create":
        create(n, *rest)
    elif what == "zone":
        zone(n)
    elif what == "names":
        print("\n".join(questions(n, *rest)))
    elif what == "manifests":
        os.makedirs(rest[0], exist_ok=True)
        with open(f"{rest[0]}/objects.yaml", "w") as f:
            f.write("\n---\n".join(json.dumps(o) for _, o in objects(n)))
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
