"""Writes the JSON schemas of the kinds that the chart makes, from the projects' own Go modules: needs Go and its module proxy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
SCHEMAS: Final = ROOT / "tests" / "chart" / "schemas"
KUBERNETES: Final = ("1.35.4", "1.36.3", "1.37.2")
"""The newest patch of the three newest versions."""
KINDS: Final = (
    "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy",
    "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding",
    "apps/v1/Deployment",
    "autoscaling/v2/HorizontalPodAutoscaler",
    "coordination.k8s.io/v1/Lease",
    "networking.k8s.io/v1/NetworkPolicy",
    "policy/v1/PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1/ClusterRole",
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding",
    "rbac.authorization.k8s.io/v1/Role",
    "rbac.authorization.k8s.io/v1/RoleBinding",
    "v1/ConfigMap",
    "v1/Pod",
    "v1/Secret",
    "v1/Service",
    "v1/ServiceAccount",
)
CUSTOM: Final = {
    "sigs.k8s.io/gateway-api@v1.6.3": "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
    ),
}
KEPT: Final = (
    "type",
    "enum",
    "required",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
)
KEPT_TOO: Final = ("minItems", "maxItems", "$ref")

Schema = dict[str, Any]


def trimmed(schema: Schema) -> Schema:
    """Return what judges a value: without descriptions, closed, and no field of the server's own."""
    kept: Schema = {key: schema[key] for key in (*KEPT, *KEPT_TOO) if key in schema}
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if schema.get("type") == "string" and schema.get("format") == "quantity":
        return {"type": ["integer", "number", "string"]}
    if "properties" in schema:
        fields = {name: field for name, field in schema["properties"].items() if name != "status"}
        kept["properties"] = {name: trimmed(field) for name, field in fields.items()}
        kept["additionalProperties"] = False
        kept["required"] = [name for name in kept.get("required", ()) if name != "status"]
    elif isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = trimmed(schema["additionalProperties"])
    if "items" in schema:
        kept["items"] = trimmed(schema["items"])
    return kept


def references(schema: object) -> set[str]:
    """Return the names of definitions that a schema refers to."""
    if isinstance(schema, dict):
        own = {schema["$ref"].rpartition("/")[2]} if "$ref" in schema else set()
        return own.union(*(references(value) for value in schema.values()))
    return set()


def kubernetes(swagger: Schema) -> Schema:
    """Return the schemas of KINDS and the definitions that they need."""
    roots, wanted = {}, set[str]()
    for name, definition in swagger["definitions"].items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            key = "/".join(filter(None, (kind["group"], kind["version"], kind["kind"])))
            if key in KINDS:
                roots[key] = {"$ref": f"#/definitions/{name}"}
                wanted.add(name)
    definitions: Schema = {}
    while missing := wanted - definitions.keys():
        for name in missing:
            definitions[name] = trimmed(swagger["definitions"][name])
            wanted |= references(definitions[name])
    return {"kinds": dict(sorted(roots.items())), "definitions": dict(sorted(definitions.items()))}


def custom(definition: Schema) -> Schema:
    """Return the schema of a custom resource's stored version, by its kind."""
    (version,) = (one for one in definition["spec"]["versions"] if one["storage"])
    spec = definition["spec"]
    schema = trimmed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return {f"{spec['group']}/{version['name']}/{spec['names']['kind']}": schema}


def module(name: str) -> Path:
    """Return the folder of a module, downloaded if need be."""
    command = ["go", "mod", "download", "-json", name]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    if "Dir" not in found:
        sys.exit(f"{name}: {found.get('Error', done.stderr)}")
    return Path(found["Dir"])


def write(name: str, source: str, schemas: Schema) -> None:
    text = json.dumps({"source": source, **schemas}, separators=(",", ":"))
    (SCHEMAS / name).write_text(f"{text}\n")


def main() -> None:
    for version in KUBERNETES:
        name = f"k8s.io/kubernetes@v{version}"
        swagger = module(name) / "api" / "openapi-spec" / "swagger.json"
        minor = version.rpartition(".")[0]
        source = f"api/openapi-spec/swagger.json of {name}, Apache-2.0, trimmed"
        write(f"kubernetes-{minor}.json", source, kubernetes(json.loads(swagger.read_text())))
    kinds: Schema = {}
    for name, path in CUSTOM.items():
        kinds |= custom(yaml.safe_load((module(name) / path).read_text()))
    source = f"{', '.join(CUSTOM)}, Apache-2.0, trimmed"
    write("custom.json", source, {"kinds": kinds, "definitions": {}})


if __name__ == "__main__":
    main()
