#!/usr/bin/env python3
"""Fails if openapi/README.md does not document exactly the problem types that the code can send."""

import re
import sys

from source import ROOT, code, rust_files

sent = {}
for path in rust_files():
    text = code(path)
    if path.startswith("demo-tmdb/") or "Problem" not in text:
        continue
    # The type is the literal that follows the status: `Problem::new(StatusCode::CONFLICT, "conflict", …)`.
    for slug in re.findall(r'(?:StatusCode::[A-Z_]+|\bstatus),\s*"([a-z]+(?:-[a-z]+)*)"', text):
        sent.setdefault(slug, path)

readme = (ROOT / "openapi/README.md").read_text(encoding="utf-8")
documented = set(re.findall(r"^\| `/problems/([a-z-]+)` \|", readme, flags=re.MULTILINE))

missing = [f"/problems/{slug} ({sent[slug]}) is not documented" for slug in sorted(sent.keys() - documented)]
unused = [f"/problems/{slug} is documented, but nothing sends it" for slug in sorted(documented - sent.keys())]
print(f"problem types: {len(sent)} sent, {len(documented)} documented")
if missing or unused:
    sys.exit("\n".join([*missing, *unused, "The table is in openapi/README.md, under Problems."]))
