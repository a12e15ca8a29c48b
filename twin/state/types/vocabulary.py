"""The keys that a type file may have: those of WoT Thing Models 1.1, of JSON Schema 2020-12, and our own."""

from __future__ import annotations

from typing import Final

# fmt: off
TYPE_KEYS: Final = frozenset({
    "@context", "@type", "id", "title", "titles", "description", "descriptions", "version", "created",
    "modified", "support", "base", "links", "properties", "actions", "events", "forms", "security",
    "securityDefinitions",
    "uriVariables", "schemaDefinitions", "$defs", "profile", "tm:optional", "x-twin",
})
AFFORDANCE_KEYS: Final = frozenset({
    "@type", "title", "titles", "description", "descriptions", "forms", "uriVariables", "x-twin",
})
SCHEMA_KEYS: Final = frozenset({
    "@type", "title", "titles", "description", "descriptions", "const", "default", "unit", "oneOf", "anyOf",
    "allOf", "not", "enum", "readOnly", "writeOnly", "format", "type", "items", "minItems", "maxItems",
    "uniqueItems", "prefixItems", "contains", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "pattern", "contentEncoding", "contentMediaType", "properties",
    "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
    "maxProperties", "dependentRequired", "if", "then", "else", "examples", "deprecated", "$ref", "$comment",
    "x-twin",
})
PROPERTY_KEYS: Final = SCHEMA_KEYS | AFFORDANCE_KEYS | {"observable"}
ACTION_KEYS: Final = AFFORDANCE_KEYS | {"input", "output", "safe", "idempotent", "synchronous"}
EVENT_KEYS: Final = AFFORDANCE_KEYS | {"subscription", "data", "dataResponse", "cancellation"}
TYPE_TWIN_KEYS: Final = ("max_age", "unknown_fields")
PROPERTY_TWIN_KEYS: Final = (
    "max_age", "writable_by", "desired_expiry", "clear_on_report", "fail_safe", "sim", "personal_data",
    "rate",
)
# fmt: on
