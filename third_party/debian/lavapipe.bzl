"""What a test needs to find the pinned Vulkan loader and Mesa's lavapipe: a Vulkan device on the processor."""

LAVAPIPE_DATA = ["@lavapipe//:lavapipe"]

LAVAPIPE_ENV = {
    # dlopen finds the loader, the loader the one driver; paths are of the runfiles, in which a test starts.
    "LD_LIBRARY_PATH": "external/lavapipe/usr/lib/x86_64-linux-gnu",
    "VK_DRIVER_FILES": "external/lavapipe/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
    "VK_LOADER_LAYERS_DISABLE": "~implicit~",
    "MESA_SHADER_CACHE_DISABLE": "true",
    # The driver loses 128 bytes an instance, and is unloaded by the time leaks are named.
    "ASAN_OPTIONS": "detect_leaks=0",
}

# For tests that run the validation layer.
VALIDATION_DATA = LAVAPIPE_DATA + ["@lavapipe//:validation"]

VALIDATION_ENV = dict(
    LAVAPIPE_ENV,
    VK_LAYER_PATH = "external/lavapipe/usr/share/vulkan/explicit_layer.d",
)
