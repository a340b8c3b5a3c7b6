"""`engine --erase_kv` leaves no KV on a volume, nor anything else changed; while an engine has it, it says so."""

import fcntl
import pathlib
import subprocess
import sys
import tempfile


def erase(*arguments):
    done = subprocess.run([sys.argv[1], "--erase_kv", *arguments], stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


def main():
    with tempfile.TemporaryDirectory() as folder:
        volume = pathlib.Path(folder) / "volume"
        status, words = erase("--volume", volume)
        assert status == 2 and str(volume) in words and not volume.exists(), (status, words)

        kept = [volume / "cache/cpu-1-a/packed", volume / "weights/b/model.gguf"]
        gone = [volume / "kv/c-1/segment-0", volume / "kv/c-1/segment-1.tmp", volume / "kv/d-1/segment-7"]
        for path in kept + gone:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"bytes")
        with open(volume / "engine.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            status, words = erase("--volume", volume)
            assert status == 1 and "another engine has it" in words, (status, words)
            assert all(path.exists() for path in kept + gone)
        status, words = erase("--volume", volume)
        assert status == 0, (status, words)
        assert not any(path.exists() for path in gone)
        assert all(path.read_bytes() == b"bytes" for path in kept)
        assert erase("--volume", volume)[0] == 0, "there is nothing left"
    assert erase()[0] == 2, "of which volume?"


main()
