"""An external repository made of pinned Debian packages; nothing is installed on the host."""

def _debian_packages_impl(ctx):
    result = ctx.execute(
        ["sh", ctx.path(ctx.attr._fetch), ctx.path(ctx.attr.lock), "yes" if ctx.attr.relocate else "no"],
        timeout = 600,
    )
    if result.stderr:
        print(result.stderr.strip())
    if result.return_code:
        fail("%s: %s" % (ctx.attr.lock, result.stderr.strip()))
    for package in ctx.attr.merge:
        result = ctx.execute(["sh", "-c", """
            cd usr/lib/x86_64-linux-gnu && { echo "create $1_all.a"
            for f in $1_*.a; do echo "addlib $f"; done; echo save; echo end; } | ar -M""", "sh", package])
        if result.return_code:
            fail("merging %s: %s" % (package, result.stderr))
    ctx.symlink(ctx.attr.build_file, "BUILD.bazel")

debian_packages = repository_rule(
    _debian_packages_impl,
    attrs = {
        "lock": attr.label(mandatory = True, doc = "Lines of: package version sha256"),
        "build_file": attr.label(mandatory = True),
        "merge": attr.string_list(doc = "Archive families (libabsl) to merge into one archive, so that link order stops mattering"),
        "relocate": attr.bool(doc = "Give the ELF files an $ORIGIN rpath and Vulkan manifests relative paths (needs patchelf in the lock)"),
        "_fetch": attr.label(default = "//third_party/debian:fetch.sh"),
    },
    environ = ["STRICT_PINS"],
)
