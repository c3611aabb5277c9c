"""Reads the workspace's Rust files for the gates beside it; not a gate itself."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rust_files(*, tests=False):
    """Paths of the tracked and new Rust files under a crate's src/, relative to the workspace; with tests, all of them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()
    return [path for path in listed if (ROOT / path).exists() and (tests or "/src/" in path)]


def is_test_file(path):
    """True for a file that holds only unit tests."""
    return path.endswith("/tests.rs") or "/tests/" in path


def code(path):
    """The text of a file without comments and without its `#[cfg(test)]` part."""
    text = (ROOT / path).read_text(encoding="utf-8")
    text = re.split(r"^\s*#\[cfg\(test\)\]\s*mod \w+ \{", text, flags=re.MULTILINE)[0]
    return re.sub(r"//[^\n]*", "", text)
