#!/usr/bin/env python3
"""Fails if more than 5 % of the doc comments open with an interrogative.

"What the user likes" makes a reader guess the term; "The user's liked movies" names it.
"""

import re
import sys

from source import ROOT, rust_files

MAX_SHARE = 0.05
OPENING = re.compile(
    r"[\[`*]*(what|which|who|whose|whom|how|where|when|whether|why|whoever|whatever|wherever)\b", re.IGNORECASE
)

total, hits = 0, []
for path in rust_files(tests=True):
    if "/tests/" in path or "/benches/" in path:
        continue
    in_doc = False
    for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
        doc = re.match(r"\s*///\s?(.*)", line)
        if doc and not in_doc:
            total += 1
            if OPENING.match(doc[1]):
                hits.append(f"{path}:{number}: {doc[1]}")
        in_doc = bool(doc)

share = len(hits) / max(total, 1)
print(f"doc comments that open with an interrogative: {100 * share:.1f} % ({len(hits)} of {total}), at most {100 * MAX_SHARE:.0f} %")
if share > MAX_SHARE or "--list" in sys.argv:
    print("\n".join(hits[:200]))
if share > MAX_SHARE:
    sys.exit("Open them with a noun phrase or a verb; scripts/gates/doc_openings.py --list shows them.")
