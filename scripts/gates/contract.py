#!/usr/bin/env python3
"""Fails if the API lost or changed something that clients may rely on.

openapi/contract.txt has a line for every operation, parameter, field of a request and field of a response, with its type.
Descriptions and examples are not part of it. New lines are allowed: `contract.py --update` adds them.
"""

import json
import re
import sys

from source import ROOT

LOCK = ROOT / "openapi/contract.txt"
MAX_DEPTH = 12
SCHEMA = re.compile(
    r"derive\((?P<derives>[^)]*\bToSchema\b[^)]*)\)(?P<attributes>.*?)\b(?:struct|enum) (?P<name>\w+)", re.DOTALL
)


def type_of(schema):
    kind = schema.get("type", "any")
    kind = "|".join(sorted(kind)) if isinstance(kind, list) else kind
    if "enum" in schema:
        kind += "(" + ",".join(map(str, schema["enum"])) + ")"
    return kind


def fields(document, schema, at="", seen=()):
    """Yields (path, type) for a schema and everything in it."""
    if "$ref" in schema:
        if schema["$ref"] in seen or len(seen) > MAX_DEPTH:
            return
        name = schema["$ref"].rsplit("/", 1)[1]
        yield from fields(document, document["components"]["schemas"][name], at, (*seen, schema["$ref"]))
        return
    for part in [*schema.get("allOf", []), *schema.get("oneOf", []), *schema.get("anyOf", [])]:
        yield from fields(document, part, at, seen)
    if "type" in schema:
        yield at or ".", type_of(schema)
    required = schema.get("required", [])
    for name, inner in schema.get("properties", {}).items():
        yield f"{at}.{name}", "required" if name in required else "optional"
        yield from fields(document, inner, f"{at}.{name}", seen)
    if isinstance(schema.get("items"), dict):
        yield from fields(document, schema["items"], f"{at}[]", seen)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from fields(document, schema["additionalProperties"], f"{at}{{}}", seen)


def lines(folder):
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for route, item in document["paths"].items():
            for method, operation in item.items():
                if method not in ("get", "put", "post", "patch", "delete"):
                    continue
                head = f"{path.stem} {method.upper()} {route}"
                yield head
                for parameter in operation.get("parameters", []):
                    # The public document copies the parameters of the services' documents.
                    if path.stem == "marquee":
                        continue
                    for at, kind in fields(document, parameter.get("schema", {})):
                        need = "required" if parameter.get("required") else "optional"
                        yield f"{head} {parameter['in']} {parameter['name']}{at if at != '.' else ''}: {kind} {need}"
                for media, content in operation.get("requestBody", {}).get("content", {}).items():
                    for at, kind in fields(document, content.get("schema", {})):
                        yield f"{head} body {media} {at}: {kind}"
                for status, response in operation.get("responses", {}).items():
                    yield f"{head} {status}"
                    for media, content in response.get("content", {}).items():
                        if media == "application/problem+json":
                            continue
                        for at, kind in fields(document, content.get("schema", {})):
                            yield f"{head} {status} {media} {at}: {kind}"


def schema_names():
    """Yields (crate, name, place) for every type whose schema the documents have. Of two with one name, one is lost."""
    for path in sorted(ROOT.glob("*/src/**/*.rs")):
        for match in SCHEMA.finditer(path.read_text(encoding="utf-8")):
            renamed = re.search(r"schema\([^)]*?\bas = (\w+)", match["attributes"])
            crate = path.relative_to(ROOT).parts[0]
            yield crate, renamed[1] if renamed else match["name"], path.relative_to(ROOT)


seen = {}
for crate, name, place in schema_names():
    if (first := seen.setdefault((crate, name), place)) != place:
        sys.exit(f"{first} and {place} have two schemas of the name {name}")
now = set(lines(ROOT / "openapi"))
if "--update" in sys.argv:
    known = set(LOCK.read_text(encoding="utf-8").splitlines()) if LOCK.exists() else set()
    LOCK.write_text("\n".join(sorted(now | known)) + "\n", encoding="utf-8")
locked = set(LOCK.read_text(encoding="utf-8").splitlines())
lost = sorted(locked - now)
print(f"API contract: {len(locked)} lines kept, {len(lost)} lost, {len(now - locked)} new")
if lost:
    sys.exit("\n".join([*lost[:60], "Clients may rely on these; see openapi/contract.txt and scripts/gates/contract.py."]))
