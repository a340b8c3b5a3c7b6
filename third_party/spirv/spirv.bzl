"""SPIR-V of GLSL, by the pinned glslc, its float arithmetic kept as it is written, validated."""

def spirv_library(name, srcs, hdrs = [], target_env = "vulkan1.2", visibility = None):
    """cc_library `name`: for each <stem>.comp a file <package>/<stem>.spv.inc, its words as a list for an array.

    Args:
      name: the library
      srcs: the shaders
      hdrs: what they include, by names relative to this package's folder
      target_env: as glslc has it
      visibility: as everywhere
    """
    stems = [src[:-len(".comp")] for src in srcs]
    for stem in stems:
        native.genrule(
            name = stem + "_spv",
            srcs = [stem + ".comp"] + hdrs,
            outs = [stem + ".spv", stem + ".spv.inc"],
            cmd = """
                $(location @vulkan//:glslc) --target-env={env} -Werror -O -o $(RULEDIR)/{stem}.glslc $(location {stem}.comp)
                $(location //third_party/spirv:no_contraction) $(RULEDIR)/{stem}.glslc $(location {stem}.spv) $(location {stem}.spv.inc)
                $(location @vulkan//:spirv-val) --target-env {env} $(location {stem}.spv)
            """.format(env = target_env, stem = stem),
            tools = [
                "//third_party/spirv:no_contraction",
                "@vulkan//:glslc",
                "@vulkan//:libshaderc",
                "@vulkan//:spirv-val",
            ],
            visibility = ["//visibility:private"],
        )
    native.cc_library(
        name = name,
        textual_hdrs = [stem + ".spv.inc" for stem in stems],
        visibility = visibility,
    )
