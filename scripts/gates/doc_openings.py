#!/usr/bin/env python3
"""Fails if a doc comment (`///` or `//!`) opens with an interrogative.

"What the user likes" makes a reader guess the term; "The user's liked movies" names it.
"""

import re
import sys

from source import ROOT, rust_files

OPENING = re.compile(
    r"[\[`*]*(what|which|who|whose|whom|how|where|when|whether|why|whoever|whatever|wherever)\b", re.IGNORECASE
)

total, hits = 0, []
for path in rust_files(tests=True):
    before = None
    for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
        doc = re.match(r"\s*(//[/!])(?!/)\s?(.*)", line)
        marker = doc and doc[1]
        if doc and marker != before:
            total += 1
            if OPENING.match(doc[2]):
                hits.append(f"{path}:{number}: {doc[2]}")
        before = marker

print(f"doc comments that open with an interrogative: {len(hits)} of {total}")
if hits:
    print("\n".join(hits))
    sys.exit("Open them with a noun phrase or a verb.")
