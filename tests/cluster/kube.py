"""kubectl, helm and grpcurl, as a person at the test cluster would type them."""

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

from tools.cluster.places import API, PKI

Thing = dict[str, Any]
"""A Kubernetes object."""

CALL_SECONDS: Final = 600.0


class Failed(Exception):
    """A command ended with another status than 0; the text is what it said."""


def call(*words: str, stdin: str = "") -> str:
    """Run a command and return its output."""
    done = subprocess.run(
        words, input=stdin, capture_output=True, text=True, timeout=CALL_SECONDS, check=False
    )
    if done.returncode:
        raise Failed(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def kubectl(*words: str, stdin: str = "") -> str:
    return call("kubectl", *words, stdin=stdin)


def apply(*things: Thing) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(things)}
    kubectl("apply", "--filename=-", stdin=json.dumps(listed))


def get(kind: str, *words: str) -> list[Thing]:
    """Return the objects of a kind."""
    found: list[Thing] = json.loads(kubectl("get", kind, "--output=json", *words))["items"]
    return found


def one(kind: str, name: str, *words: str) -> Thing:
    found: Thing = json.loads(kubectl("get", kind, name, "--output=json", *words))
    return found


def everything() -> set[str]:
    """Name every object of the cluster but those that come and go by themselves."""
    kinds = kubectl("api-resources", "--verbs=list", "--output=name").split()
    passing = {"events", "events.events.k8s.io", "leases.coordination.k8s.io"}
    kept = [kind for kind in kinds if kind not in passing and "metrics.k8s.io" not in kind]
    columns = "KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name"
    listed = kubectl(
        "get",
        ",".join(kept),
        "--all-namespaces",
        "--no-headers",
        f"--output=custom-columns={columns}",
    )
    return {" ".join(line.split()) for line in listed.splitlines()}


def patch_as(account: str, path: str, body: Thing) -> tuple[int, str]:
    """Try a merge patch in an account's name; return the status and what the API server said."""
    context = ssl.create_default_context(cafile=PKI / "ca.crt")
    context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
    headers = {"Content-Type": "application/merge-patch+json", "Impersonate-User": account}
    address = f"{API}/api/v1/{path}?dryRun=All"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers, method="PATCH")
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def watch(kind: str, *words: str) -> "Watch":
    """Follow the objects of a kind: first those that are there, then every change in its order."""
    return Watch(
        ["kubectl", "get", kind, "--watch", "--output-watch-events", "--output=json", *words]
    )


class Watch:
    """Events as kubectl prints them, until `close`."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __iter__(self) -> Iterator[tuple[str, Thing]]:
        """Yield what happened (ADDED, MODIFIED, DELETED) and the object then."""
        assert self._process.stdout is not None
        decoder, text = json.JSONDecoder(), ""
        for line in self._process.stdout:
            text = (text + line).lstrip()
            try:
                event, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                continue
            text = text[end:]
            yield event["type"], event["object"]

    def close(self) -> None:
        with self._process:
            self._process.kill()
