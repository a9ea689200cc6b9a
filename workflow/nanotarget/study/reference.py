"""Pages written from what the project knows of itself: the keys of a model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema

from nanotarget.study.fields import Section

KIND_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
HEADER = "| key | what may stand there | default | meaning |\n|---|---|---|---|\n"
SHARED = "Shared"  # begins the title of what occurs in several places
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


class _Untitled(GenerateJsonSchema):
    """JSON schema whose keys have no titles: pydantic makes them of the keys themselves."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def json_schema(kind: type[Section]) -> JsonSchemaValue:
    """Return the JSON schema of a file, with which editors check and complete it."""
    schema = kind.model_json_schema(schema_generator=_Untitled)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema}


def simplified(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Write a JSON schema without what only one place refers to, and "or nothing" as a type of its own.

    What several places refer to stays under `$defs`, by its title.
    """
    used = Counter(part["$ref"] for part in _parts(schema) if "$ref" in part)
    defined = schema.get("$defs", {})
    titles = {f"#/$defs/{name}": node.get("title", name) for name, node in defined.items()}
    shared = {ref for ref, n in used.items() if n > 1}

    def plain(node: Any) -> Any:
        if isinstance(node, list):
            return [plain(part) for part in node]
        if not isinstance(node, Mapping):
            return node
        node = dict(node)
        optional = node.pop("anyOf", None)
        if optional:
            node = {**optional[0], **node}
        if node.get("$ref") in shared:
            node["$ref"] = f"#/$defs/{titles[node['$ref']]}"
        elif "$ref" in node:
            node = {**defined[node.pop("$ref").rsplit("/", 1)[1]], **node}
        if optional and "enum" in node:
            node["enum"] = [*node["enum"], None]
        elif optional and "type" in node:
            node["type"] = [*([node["type"]] if isinstance(node["type"], str) else node["type"]), "null"]
        return {key: value if key in ("default", "enum") else plain(value) for key, value in node.items()}

    top = plain({key: value for key, value in schema.items() if key != "$defs"})
    return top | {"$defs": {titles[ref]: plain(defined[ref.rsplit("/", 1)[1]]) for ref in sorted(shared)}}


def _parts(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
        node = list(node.values())
    for part in node if isinstance(node, list) else []:
        yield from _parts(part)


def reference(schema: Mapping[str, Any], introduction: str) -> str:
    """Write the page of a schema: every key with what may stand there, its default and its meaning.

    Args:
        schema: of a mapping, `simplified`, with `$defs` for what occurs in several places.
        introduction: paragraphs of Markdown below the title.

    Returns:
        A Markdown text. Keys on the top level come first, then a section a key that holds others, then one
        a shared part; `a.b` is the key b in a, `a[]` an entry of the list a.
    """
    parts = [f"# {capitalised(schema['title'])}\n", introduction]
    parts.append("## Top level\n\n" + HEADER + "".join(_rows(schema, "", deep=False)))
    sections = [(name, name, node) for name, node in schema["properties"].items() if any(_rows(node, name))]
    shared = [(f"{SHARED} {name}", name, node) for name, node in schema.get("$defs", {}).items()]
    for title, name, node in sections + shared:
        about = f"{cell(node['description'])}\n\n" if "description" in node else ""
        rows = "".join(_rows(node, name))
        parts.append(f"## {title}\n\n{about}" + (HEADER + rows if rows else f"{capitalised(kind(node))}.\n"))
    return "\n".join(parts)


def _rows(node: Mapping[str, Any], path: str, deep: bool = True) -> Iterator[str]:
    """Write a row for each key of a node and, with `deep`, for the keys below these."""
    for name, child in node.get("properties", {}).items():
        key = f"{path}.{name}" if path else name
        default = "**required**" if name in node.get("required", []) else written_default(child)
        yield f"| `{key}` | {kind(child)} | {default} | {cell(child.get('description', ''))} |\n"
        if deep:
            yield from _rows(child, key)
    if deep and "items" in node:
        yield from _rows(node["items"], f"{path}[]")


def kind(node: Mapping[str, Any]) -> str:
    """Say what may stand at a node, in words: its kind, the values allowed and their bounds."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        return f"see [{name}](#{SHARED.lower()}-{name.replace(' ', '-')})"
    if "enum" in node:
        return ", ".join("nothing" if value is None else code(value) for value in node["enum"])
    types = node.get("type", "object")
    words = " or ".join(KIND_NAMES[name] for name in ([types] if isinstance(types, str) else types))
    details = [f"{word} {node[bound]}" for bound, word in BOUNDS.items() if bound in node]
    if "pattern" in node:
        details.append(f"as {code(node['pattern'])}")
    if "items" in node:
        details.append(f"each ({kind(node['items'])})")
    if node.get("uniqueItems"):
        details.append("none twice")
    if node.get("minItems", 0) == node.get("maxItems", -1):
        details.append(f"exactly {node['minItems']}")
    elif "minItems" in node:
        details.append(f"{node['minItems']} or more")
    if isinstance(node.get("additionalProperties"), Mapping):
        details.append(f"of names, each with ({kind(node['additionalProperties'])})")
    if "minProperties" in node:
        details.append(f"{node['minProperties']} or more keys")
    return ", ".join([words, *details])


def written_default(node: Mapping[str, Any]) -> str:
    """Say what counts if a key is left out; a section that is left out has the defaults of its keys."""
    if "default" not in node:
        return ""
    if isinstance(node["default"], dict) and "properties" in node:
        return "see its keys"
    return "nothing" if node["default"] in (None, "", [], {}) else code(node["default"])


def code(value: Any) -> str:
    """Write a value as it stands in YAML, in a code span of a table."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "\\|")


def cell(text: str) -> str:
    """Write prose in a table cell; code spans stay, what Markdown or HTML would take for its own does not."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    parts[::2] = [part.replace("&", "&amp;").replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    return "`".join(parts)


def capitalised(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def keys_that_name(schema: Mapping[str, Any], key: str) -> dict[str, str]:
    """Return the keys of sections that are called so, as `section.key`, each with its description."""
    sections = simplified(schema)["properties"]
    return {
        f"{name}.{key}": section["properties"][key]["description"]
        for name, section in sections.items()
        if key in section.get("properties", {})
    }


def put_between(text: str, name: str, content: str) -> str:
    """Replace what stands in a text between the markers of a name.

    Raises:
        ValueError: if the markers are not there, once each and in order.
    """
    begin, end = f"<!-- begin {name} (made by `make docs`) -->\n", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the markers {begin.strip()} and {end} must be there once, in this order")
    before, _, rest = text.partition(begin)
    return before + begin + content + end + rest.partition(end)[2]
