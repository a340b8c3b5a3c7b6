"""OCI images: programs of this build over pinned C libraries; no shell, no package manager."""

BASE = {
    "@image//:loader": "lib64/",
    "@image//:libraries": "lib/x86_64-linux-gnu/",
    "@image//:certificates": "etc/ssl/certs/",
}

def image(name, layers, entrypoint, command = [], environment = {}, ports = [], visibility = None):
    """`NAME.tar`, an OCI image layout, and `push`, which copies it to a registry.

    Args:
      name: `image`, by custom.
      layers: over the base, each a dict of label to its place in the image; one that ends in / is a folder. What changes most comes last.
      entrypoint: path of the program.
      command: its flags, unless the user gives others.
      environment: a dict.
      ports: that it listens on.
      visibility: of both.
    """
    labels = [label for layer in [BASE] + layers for label in layer]
    words = []
    for layer in [BASE] + layers:
        words.append("$$(printf '%s\\n' " + " ".join([
            "$$(printf '%s=" + place + "\\n' $(locations " + label + "))"
            for label, place in layer.items()
        ]) + " | paste -sd ,)")
    config = ["--config.user=65532:65532", "--config.workingdir=/data", "--config.volume=/data"]
    config += ["--config.entrypoint=" + entrypoint]
    config += ["--config.cmd=" + flag for flag in command]
    config += ["--config.env=%s=%s" % (key, value) for key, value in environment.items()]
    config += ["--config.exposedports=%d/tcp" % port for port in ports]
    native.genrule(
        name = name,
        srcs = labels + ["@oci//:libs"],
        outs = [name + ".tar"],
        cmd = "$(location //third_party/oci:image.sh) $(location @oci//:umoci) $(location @oci//:skopeo) $@ " +
              " ".join(words) + " -- " + " ".join(config),
        message = "Packing an image",
        tools = [
            "//third_party/oci:image.sh",
            "@oci//:skopeo",
            "@oci//:umoci",
        ],
        visibility = visibility,
    )
    native.sh_binary(
        name = "push",
        srcs = ["//third_party/oci:push.sh"],
        args = [
            "$(rootpath @oci//:skopeo)",
            "$(rootpath :%s.tar)" % name,
        ],
        data = [
            ":%s.tar" % name,
            "@oci//:libs",
            "@oci//:skopeo",
        ],
        visibility = visibility,
    )
