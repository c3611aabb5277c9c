#!/usr/bin/env python3
"""Fails if files import each other in a circle, or a layer imports what it must not.

Counted: every `use` of, and every path in code through, `crate::`, `super::` and `self::`, tests left out. A module and its
submodules are one family; a circle counts only if it leaves the family.
"""

import re
import sys
from collections import defaultdict
from pathlib import PurePosixPath

from source import code, is_test_file, rust_files

# The modules of a service that may import HTTP types and each other; all other modules are below them.
EDGE = ("lib", "main", "command", "cli", "app", "state", "handler")
# A file under a folder (of any crate) must not name these: layers of its own crate, or crates. sqlx's derives and
# its `Json` column type are allowed: a row struct of its own exists only where the row differs (docs/adr/0002).
MUST_NOT_IMPORT = {
    "models": ["crate::service", "crate::repository", "sqlx", "reqwest"],
    "repository": ["crate::service", "reqwest"],
    "handler": ["crate::app", "sqlx::query", "sqlx::query_as", "sqlx::query_scalar"],
}
BELOW_THE_EDGE = ["crate::handler", "crate::app", "crate::state", "axum", "hyper"]
ALLOWED = {"sqlx::Type", "sqlx::FromRow", "sqlx::types::Json"}
# The crates of the workspace that a crate may use.
MAY_USE = {
    "chassis": [],
    "filter": ["chassis"],
    "histories": [],
    "recommender": [],
    "demo-tmdb": ["chassis"],
    "gateway": ["chassis"],
    "movie-service": ["chassis", "filter", "search"],
    "preference-service": ["chassis", "filter", "histories", "recommender"],
    "recommendation-service": ["chassis", "filter", "recommender"],
}


def module_of(path):
    crate, rest = path.split("/src/", 1)
    parts = list(PurePosixPath(rest).with_suffix("").parts)
    if parts[-1] in ("lib", "main", "mod"):
        parts.pop()
    return crate, tuple(parts)


def expand(text):
    """a::{b, c::{d}} → a::b, a::c::d"""
    text = text.strip()
    brace = text.find("{")
    if brace < 0:
        return [text.split(" as ")[0].strip()]
    head, depth, items, start = text[:brace], 0, [], brace + 1
    for at in range(brace, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                items.append(text[start:at])
                break
        elif text[at] == "," and depth == 1:
            items.append(text[start:at])
            start = at + 1
    return [head + tail for item in items if item.strip() for tail in expand(item)]


def paths_in(text):
    """All paths that the text names, absolute or relative."""
    for use in re.findall(r"\buse\s+([a-z_][^;]*);", text):
        yield from expand(use)
    rest = re.sub(r"\buse\s+[^;]+;", "", text)
    yield from re.findall(r"(?<![\w:])(?:crate|super|self)(?:::\w+)+", rest)
    yield from re.findall(r"(?<![\w:])[a-z][a-z0-9_]*(?:::\w+)+", rest)


files = [path for path in rust_files() if not is_test_file(path)]
modules = {path: module_of(path) for path in files}
known = {module: path for path, module in modules.items()}
crates = {path.split("/", 1)[0] for path in files}
edges, errors = defaultdict(set), []

for path in files:
    crate, here = modules[path]
    for name in paths_in(code(path)):
        parts = [part.strip() for part in name.split("::")]
        if parts[0] in ("crate", "super", "self"):
            at = () if parts[0] == "crate" else here if parts[0] == "self" else here[:-1]
            rest = parts[1:]
            while rest and rest[0] == "super":
                at, rest = at[:-1], rest[1:]
            while rest and (crate, (*at, rest[0])) in known:
                at, rest = (*at, rest[0]), rest[1:]
            target = known.get((crate, at))
            if target and target != path:
                edges[path].add(target)
            absolute = "::".join(["crate", *at, *rest])
        else:
            absolute = "::".join(parts)
            used = parts[0].replace("_", "-")
            if used in crates and used != crate and used not in MAY_USE.get(crate, []):
                errors.append(f"{path}: {crate} must not use the crate {used}")
        layer = here[0] if here else "lib"
        forbidden = MUST_NOT_IMPORT.get(layer, [])
        if crate.endswith("-service") and layer not in EDGE:
            # A client of another service speaks HTTP, but serves nothing.
            forbidden = forbidden + [bad for bad in BELOW_THE_EDGE if layer != "client" or bad.startswith("crate")]
        for bad in forbidden:
            if absolute not in ALLOWED and (absolute == bad or absolute.startswith(bad + "::")):
                errors.append(f"{path}: {layer} must not import {absolute}")

# Tarjan's strongly connected components.
index, low, stack, on_stack, circles = {}, {}, [], set(), []
sys.setrecursionlimit(10_000)


def visit(node):
    index[node] = low[node] = len(index)
    stack.append(node)
    on_stack.add(node)
    for target in edges[node]:
        if target not in index:
            visit(target)
            low[node] = min(low[node], low[target])
        elif target in on_stack:
            low[node] = min(low[node], index[target])
    if low[node] == index[node]:
        group = []
        while not group or group[-1] != node:
            group.append(stack.pop())
            on_stack.discard(group[-1])
        if len(group) > 1:
            circles.append(sorted(group))


for path in files:
    if path not in index:
        visit(path)


def is_family(group):
    paths = [modules[path][1] for path in group]
    root = min(paths, key=len)
    return root != () and all(path[: len(root)] == root for path in paths)


circles = [group for group in circles if not is_family(group)]
errors = sorted(set(errors))
print(f"import circles: {len(circles)}; imports against the direction of the layers: {len(errors)}")
if circles or errors:
    sys.exit("\n".join([*(f"circle: {', '.join(group)}" for group in circles), *errors]))
