"""C++ of a .proto file, by the pinned protoc."""

def cc_proto(name, src, grpc = False, deps = [], visibility = None):
    """cc_library `name` of `src`, included as "<package>/<stem>.pb.h" (and .grpc.pb.h).

    Args:
      name: the library
      src: one .proto in this package; it may import well-known types
      grpc: also generate the service
      deps: further libraries
      visibility: as everywhere
    """
    stem = src[:-len(".proto")]
    package = native.package_name()
    kinds = [".pb"] + ([".grpc.pb"] if grpc else [])
    cmd = "$(location @debian//:protoc) -I . --cpp_out=$(RULEDIR)/" + "/".join([".." for _ in package.split("/")])
    tools = ["@debian//:protoc"]
    if grpc:
        cmd += " --grpc_out=$(RULEDIR)/" + "/".join([".." for _ in package.split("/")])
        cmd += " --plugin=protoc-gen-grpc=$(location @debian//:grpc_cpp_plugin)"
        tools.append("@debian//:grpc_cpp_plugin")
    native.genrule(
        name = name + "_gen",
        srcs = [src, "@debian//:protoc_inputs"],
        outs = [stem + kind + end for kind in kinds for end in [".h", ".cc"]],
        cmd = cmd + " $(location %s)" % src,
        tools = tools,
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = [stem + kind + ".cc" for kind in kinds],
        hdrs = [stem + kind + ".h" for kind in kinds],
        deps = deps + (["@debian//:grpc++"] if grpc else []) + ["@debian//:protobuf"],
        visibility = visibility,
    )
