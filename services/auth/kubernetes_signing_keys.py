"""A signing key in a Secret of Kubernetes, which the chart makes empty and `convergence admin init` fills."""

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from kubernetes.client.api.core_v1_api import CoreV1Api
from kubernetes.client.models.v1_secret import V1Secret

from libs.kubernetes.cluster import Call, Cluster, ClusterRefused, ClusterUnavailable, ObjectStale
from libs.kubernetes.names import ObjectName
from services.auth.directory import AuthUnavailable
from services.auth.signing_keys import NotInitialized, SigningKeyUnusable

FIELD: Final = "signing_key.pem"
CALL_SECONDS: Final = 5.0


class KubernetesSigningKeyStore:
    """Keeps the key in one field of one Secret; another field of it is left alone."""

    def __init__(self, cluster: Cluster, secret: ObjectName) -> None:
        self._cluster = cluster
        self._api = CoreV1Api(cluster.client)
        self._key = {"name": secret.name, "namespace": secret.namespace}
        self._said = f"Secret {secret.namespace}/{secret.name}"

    async def read(self) -> bytes:
        text = _field(await self._read())
        if not text:
            raise NotInitialized(f"the signing key in {self._said}")
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            advice = f"remove the field {FIELD} from it and run `convergence admin init`"
            raise SigningKeyUnusable(self._said, "holds no base64", advice) from error

    async def create(self, pem: bytes) -> bool:
        while not _field(secret := await self._read()):
            secret.data = {**(secret.data or {}), FIELD: base64.b64encode(pem).decode()}
            try:
                await self._call("update", self._api.replace_namespaced_secret, body=secret)
            except ObjectStale:
                continue  # somebody else wrote first: perhaps a key
            return True
        return False

    async def _read(self) -> V1Secret:
        return await self._call("get", self._api.read_namespaced_secret)

    async def _call(self, verb: str, method: Callable[..., V1Secret], **named: Any) -> V1Secret:
        call = Call(asked=f"{verb} {self._said}", right=f"{verb} secrets", seconds=CALL_SECONDS)
        try:
            return await self._cluster.call(call, method, **self._key, **named)
        except ClusterUnavailable as error:
            raise AuthUnavailable(str(error)) from error
        except ClusterRefused as error:
            advice = "see that it is there and that auth's account may get and update it"
            raise SigningKeyUnusable(self._said, f"cannot be used ({error})", advice) from error


def _field(secret: V1Secret) -> str:
    return str((secret.data or {}).get(FIELD, ""))
