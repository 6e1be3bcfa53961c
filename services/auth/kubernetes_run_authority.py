"""Who may ask for tokens of runs on Kubernetes: a service account, which the API server knows by its token."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kubernetes.client.api.authentication_v1_api import AuthenticationV1Api
from kubernetes.client.models.v1_token_review import V1TokenReview
from kubernetes.client.models.v1_token_review_spec import V1TokenReviewSpec

from libs.common.identity import IdentityTokenInvalid
from libs.kubernetes.cluster import Call, Cluster, ClusterUnavailable
from libs.kubernetes.names import ObjectName
from services.auth.directory import AuthUnavailable
from services.auth.run_authority import bearer

AUDIENCE: Final = "convergence-auth"
"""What the token must be for, so that one that the account shows elsewhere is worth nothing here."""
KEEP_SECONDS: Final = 60.0
LARGEST: Final = 64
_REVIEW: Final = Call(
    asked="create a TokenReview", right="create tokenreviews.authentication.k8s.io", seconds=5.0
)


class KubernetesAuthority:
    """Asks the API server whose token it is; a yes is kept for a minute, a no is not."""

    def __init__(
        self, cluster: Cluster, account: ObjectName, *, monotonic: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._api = AuthenticationV1Api(cluster.client)
        self._wanted = f"system:serviceaccount:{account.namespace}:{account.name}"
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, float] = OrderedDict()

    async def check(self, authorization: str) -> None:
        """As the port says; ClusterRefused where auth's own account may not ask."""
        shown = bearer(authorization)
        digest = hashlib.sha256(shown.encode()).digest()
        if self._known.get(digest, 0.0) > self._monotonic():
            return
        asked_at = self._monotonic()
        who = await self._review(shown)
        if who != self._wanted:
            raise IdentityTokenInvalid(f"it is a token of {who}; allowed is {self._wanted}")
        self._known[digest] = asked_at + KEEP_SECONDS
        if len(self._known) > LARGEST:
            self._known.popitem(last=False)

    async def _review(self, token: str) -> str:
        """Return whose token it is; raise IdentityTokenInvalid if nobody's for this audience."""
        body = V1TokenReview(spec=V1TokenReviewSpec(token=token, audiences=[AUDIENCE]))
        try:
            review = await self._cluster.call(_REVIEW, self._api.create_token_review, body=body)
        except ClusterUnavailable as error:
            raise AuthUnavailable(str(error)) from error
        found = review.status
        if not found or not found.authenticated or AUDIENCE not in (found.audiences or ()):
            raise IdentityTokenInvalid(
                f"Kubernetes knows it as nobody's token for the audience {AUDIENCE}"
            )
        return str(found.user.username if found.user else "nobody")
