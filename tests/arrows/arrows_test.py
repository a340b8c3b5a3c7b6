"""Holds the build graph of every program against the table of allowed arrows between folders."""
import re
import sys

# From a folder to the folders it may use beside itself. The longest matching key counts.
ALLOWED = {
    "engine/api": [],
    "engine/base": [],
    "engine/device": [],
    "engine/kv": [],
    "engine/model": ["engine/base", "engine/device"],
    "engine/notice": ["engine/base"],
    "engine/sample": ["engine/base"],
    "engine/schedule": ["engine/base", "engine/kv"],
    "engine/server": ["engine"],
    "engine/volume": ["engine/base", "engine/device", "engine/kv"],
    "engine/text": ["engine/base", "engine/device", "engine/model"],
    "backends": ["engine/base", "engine/device"],
    "fleet": ["engine/api", "engine/base"],
    "gateway": ["engine/api", "engine/base", "engine/model", "engine/text", "engine/volume", "fleet/api"],
    "gateway/config": ["engine/base"],
    "gateway/http": ["engine/base"],
    "gateway/openai": ["engine/base", "engine/sample/grammar"],
    "gateway/filters": ["engine/base", "gateway"],
}

# Targets that put a program together: they alone link concrete backends and providers, and the simulator's alone reads
# the gateway's configuration.
MAINS = re.compile(r"//(gateway:(main|providers)|engine/server:(main|\w+_main|backends)|fleet/sim:(simulate|what_if))$")

# The one arrow between concrete ones: who is known to AWS shows that to Google by AWS's signature.
SIGNATURE = ("//fleet/providers/gcp:gcp_aws_subject", "//fleet/providers/aws:sigv4")


def folder(label):
    return label[2:].partition(":")[0]


def within(path, parent):
    return path == parent or path.startswith(parent + "/")


def allowed(source, target):
    path, to = folder(source), folder(target)
    keys = [key for key in ALLOWED if within(path, key)]
    if not keys:
        return False
    key = max(keys, key=len)
    return within(to, key) or any(within(to, other) for other in ALLOWED[key])


def main():
    edges = set()
    for line in open(sys.argv[1]):
        match = re.match(r'\s*"(//[^"]+)" -> "(//[^"]+)"', line)
        if match and not match[2].startswith("//third_party") and not match[1].startswith("//third_party"):
            edges.add((match[1], match[2]))
    assert len(edges) > 300, f"only {len(edges)} edges: is the graph the right one?"
    # The table itself: what it forbids, it must see.
    assert not allowed("//engine/schedule:x", "//engine/device:y")
    assert not allowed("//gateway/http:x", "//gateway/openai:y")
    assert not allowed("//fleet/plan:x", "//gateway:y")
    assert not allowed("//fleet/sim:ours", "//gateway/config:y")
    assert not allowed("//gateway/session:x", "//fleet:controller")

    wrong = sorted(f"{a} -> {b}" for a, b in edges if not MAINS.match(a) and not allowed(a, b))
    concrete = sorted(f"{a} -> {b}" for a, b in edges
                      if re.match(r"//(backends/|fleet/providers/(?!cloud:|several:)\w+:)", b)
                      and not MAINS.match(a) and not within(folder(b), folder(a)) and (a, b) != SIGNATURE)
    for edge in wrong:
        print("not allowed:", edge)
    for edge in concrete:
        print("only mains link concrete backends and providers:", edge)
    print(f"{len(edges)} edges, {len(wrong) + len(concrete)} of them wrong")
    sys.exit(bool(wrong or concrete))


main()
