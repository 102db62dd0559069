#!/usr/bin/env python3
"""table.py REPORT.json FOCUS KUBERNETES-VERSION PORTICO-VERSION - docs/conformance.md from a report of Ginkgo's."""
import json
import re
import sys

LEFT_OUT = (  # part of a test's name, and why portico is not asked
    ("configMap nameserver", "rewrites the ConfigMap of CoreDNS's own pods and restarts these; portico's DNS is no pod"),
)
HEAD = """# Kubernetes' own tests

Kubernetes' end-to-end tests of DNS (`[sig-network] DNS`, k8s.io/kubernetes {kubernetes}), unchanged, against a standalone {version}:
real pods look names up, and the tests read what they found through the API server's `pods/proxy`. **{passed} of {run} pass**, of
those that Kubernetes calls conformance tests {conformance_passed} of {conformance_run}.

What others' tests of Ingress say is in [conformance-ingress.md](conformance-ingress.md).

The images that the tests name are packed on the spot: agnhost and CoreDNS built from their Go modules, with this machine's dig, getent
and shell. portico runs with its defaults, but for the ingress proxy's ports (a test's pod wants the host's port 80) and
`--relaxed-service-names=true` (one test is of that).

Run by one command, which also writes this page:

```
sudo tests/conformance/dns.sh build      # root, Go and kubectl; builds the tests first (once, about ten minutes), then takes a minute
```

| Test | Conformance | Result |
|---|---|---|
"""


def name_of(spec):
    return " ".join((spec["ContainerHierarchyTexts"] or []) + [spec["LeafNodeText"]])


def short(name):
    return re.sub(r"\s*\[(Conformance|LinuxOnly|sig-network)\]\s*", " ", name).strip()


def result(spec):
    """What the table says, and whether the test was run."""
    if spec["State"] == "passed":
        return "passes", True
    if spec["State"] not in ("skipped", "pending"):
        return "**fails**", True
    message = spec.get("Failure", {}).get("Message", "").split("\n")[0]
    reasons = [why for part, why in LEFT_OUT if part in name_of(spec)]
    return "not run: " + (reasons + [message.replace("Only supported for", "only for") or "left out"])[0], False


def main():
    report, focus, kubernetes, version = sys.argv[1:]
    with open(report, encoding="utf-8") as f:
        suite = json.load(f)[0]
    rows = []
    for spec in suite["SpecReports"]:
        name = name_of(spec)
        if spec["LeafNodeType"] == "It" and re.search(focus, name):
            text, run = result(spec)
            rows.append((not run, "[Conformance]" not in name, short(name), text))
    rows.sort()
    conformance = [r for r in rows if not r[1] and not r[0]]
    run = [r for r in rows if not r[0]]
    out = HEAD.format(
        kubernetes=kubernetes, version=version,
        passed=sum(r[3] == "passes" for r in run), run=len(run),
        conformance_passed=sum(r[3] == "passes" for r in conformance), conformance_run=len(conformance))
    for _, other, name, text in rows:
        out += f"| {name} | {'' if other else 'yes'} | {text} |\n"
    sys.stdout.write(out)


main()
