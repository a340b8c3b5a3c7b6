"""SPIR-V of GLSL, by the pinned glslc, its float arithmetic kept as it is written, validated."""

def spirv_library(name, srcs, hdrs = [], variants = {}, target_env = "vulkan1.2", visibility = None):
    """cc_library `name`: for each <stem>.comp a file <package>/<stem>.spv.inc, its words as a list for an array.

    Args:
      name: the library
      srcs: the shaders
      hdrs: what they include, by names relative to this package's folder
      variants: by further stems, of one of `srcs` the name and flags of the compiler's, in place of -O
      target_env: as glslc has it
      visibility: as everywhere
    """
    made = {src[:-len(".comp")]: [src, "-O"] for src in srcs}
    made.update(variants)
    for stem, source in made.items():
        native.genrule(
            name = stem + "_spv",
            srcs = [source[0]] + hdrs,
            outs = [stem + ".spv", stem + ".spv.inc"],
            cmd = """
                $(location @vulkan//:glslc) --target-env={env} -Werror {flags} -o $(RULEDIR)/{stem}.glslc $(location {source})
                $(location //third_party/spirv:no_contraction) $(RULEDIR)/{stem}.glslc $(location {stem}.spv) $(location {stem}.spv.inc)
                $(location @vulkan//:spirv-val) --target-env {env} $(location {stem}.spv)
            """.format(env = target_env, stem = stem, source = source[0], flags = " ".join(source[1:])),
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
        textual_hdrs = [stem + ".spv.inc" for stem in made],
        visibility = visibility,
    )
