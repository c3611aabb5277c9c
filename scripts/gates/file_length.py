#!/usr/bin/env python3
"""Fails if a file under src/ is longer than 500 lines without stating a reason.

The reason is a line `// Longer than 500 lines: …` in the file.
"""

import sys

from source import ROOT, rust_files

MAX_LINES = 500
REASON = "// Longer than 500 lines: "

long, stated = [], 0
for path in rust_files():
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = text.count("\n")
    if lines <= MAX_LINES:
        continue
    if REASON in text:
        stated += 1
    else:
        long.append(f"{path}: {lines} lines")

print(f"files over {MAX_LINES} lines without a reason: {len(long)}; with one: {stated}")
if long:
    sys.exit("\n".join([*long, f"Split them, or state why not in a line `{REASON}…`."]))
