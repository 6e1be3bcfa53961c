"""How a setting names an object of the cluster."""

import pytest

from libs.kubernetes.names import ObjectName
from services.orchestrator.app import Settings


def test_a_name_has_a_namespace_and_may_have_a_pod() -> None:
    assert ObjectName.parse("kubernetes://mesh/cvg-orchestrator?pod=cvg-7d9.x") == ObjectName(
        namespace="mesh", name="cvg-orchestrator", pod="cvg-7d9.x"
    )
    assert ObjectName.parse("kubernetes://a/b") == ObjectName(namespace="a", name="b")


@pytest.mark.parametrize("text", [".convergence/orchestrator", "", "127.0.0.1:50054,b:1"])
def test_what_names_no_object_is_something_else(text: str) -> None:
    assert ObjectName.parse(text) is None


@pytest.mark.parametrize(
    "rest",
    ["", "mesh", "mesh/", "/a", "Mesh/a", "a/b/c", "a/b?pod=", "a/b?p=c", "a/$(NAME)", "a/b c"],
)
def test_what_begins_as_a_name_and_is_none_is_refused(rest: str) -> None:
    with pytest.raises(ValueError, match=r"found 'kubernetes://.*; allowed is kubernetes://NAME"):
        ObjectName.parse(f"kubernetes://{rest}")


def test_the_lease_of_an_orchestrator_names_its_pod() -> None:
    assert Settings(lease="kubernetes://mesh/o?pod=p").lease == "kubernetes://mesh/o?pod=p"
    with pytest.raises(ValueError, match=r"kubernetes://NAMESPACE/LEASE\?pod=POD"):
        Settings(lease="kubernetes://mesh/o")
