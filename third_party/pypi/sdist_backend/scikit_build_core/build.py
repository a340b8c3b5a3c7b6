"""Stands in for a build backend: `pip download` wants a source distribution's metadata, which is its PKG-INFO."""

import email
import pathlib


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info = pathlib.Path("PKG-INFO").read_text(encoding="utf-8")
    head = email.message_from_string(info)
    folder = pathlib.Path(metadata_directory, f"{head['Name'].replace('-', '_')}-{head['Version']}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(info, encoding="utf-8")
    return folder.name
