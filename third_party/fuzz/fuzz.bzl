"""A fuzz target whose corpus runs as a plain test."""

def cc_fuzz_test(name, srcs, corpus, deps = [], size = "small", **kwargs):
    """Test `name`: LLVMFuzzerTestOneInput of `srcs` over every file of `corpus` and many seeded mutations of each.

    With --config=fuzz the same target is a libFuzzer binary: ./bazelw run --config=fuzz //x:name -- CORPUS_DIR

    Args:
      name: the test
      srcs: define LLVMFuzzerTestOneInput
      corpus: files
      deps: what srcs use
      size: of the test
      **kwargs: passed on
    """
    native.cc_test(
        name = name,
        size = size,
        srcs = srcs,
        args = ["$(locations %s)" % c for c in corpus],
        data = corpus,
        linkopts = select({
            "//third_party/fuzz:libfuzzer": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        linkstatic = True,
        deps = deps + select({
            "//third_party/fuzz:libfuzzer": [],
            "//conditions:default": ["//third_party/fuzz:corpus_main"],
        }),
        **kwargs
    )
