"""Another build backend, for which the same stands in."""

from scikit_build_core.build import prepare_metadata_for_build_wheel  # noqa: F401
