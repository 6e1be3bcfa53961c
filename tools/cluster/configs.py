"""Configuration files of the cluster's daemons, and how each is started."""

import json
import resource
from typing import Final

from tools.cluster.places import (
    BIN,
    DNS_IP,
    NODE,
    NODE_IP,
    PKI,
    POD_CIDR,
    RUN,
    SERVICE_CIDR,
)

ETCD: Final = "http://127.0.0.1:2379"
CONTAINERD: Final = "/run/containerd/containerd.sock"
_CNI: Final = RUN / "cni"

CONTAINERD_TOML: Final = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.local/pause:1"
  # Without CAP_SYS_RESOURCE nobody lowers a process's OOM score.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{_CNI}"
"""


def write_all() -> None:
    """Write every file that a daemon reads, below `RUN`."""
    _CNI.mkdir(parents=True)
    (RUN / "containerd.toml").write_text(CONTAINERD_TOML)
    for path, content in (
        (_CNI / "10-pods.conflist", _pod_network()),
        (RUN / "kubelet.yaml", _kubelet()),
        (RUN / "kube-proxy.yaml", _kube_proxy()),
    ):
        path.write_text(json.dumps(content, indent=2))
    search = "default.svc.cluster.local svc.cluster.local cluster.local"
    (RUN / "resolv.conf").write_text(f"nameserver {DNS_IP}\nsearch {search}\noptions ndots:5\n")
    (RUN / "no-resolver.conf").touch()


def _pod_network() -> object:
    """Each pod has a pair of interfaces and a route through the node, as on GKE: no bridge."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/pod-addresses",
        "ranges": [[{"subnet": POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet() -> object:
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet-server.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_IP],
        "resolvConf": f"{RUN}/no-resolver.conf",
        "volumePluginDir": "/run/volume-plugins",
        "oomScoreAdj": 0,
        "maxOpenFiles": most_files,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
        },
    }


def _kube_proxy() -> object:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{RUN}/kube-proxy.kubeconfig"},
        "mode": "iptables",
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": NODE,
        "oomScoreAdj": 0,
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def etcd() -> list[str]:
    """Keeps its data in memory: nothing outlives the cluster."""
    peers = "http://127.0.0.1:2380"
    return [
        f"{BIN}/etcd",
        "--data-dir=/run/etcd",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={peers}",
        "--unsafe-no-fsync",
    ]


def containerd() -> list[str]:
    return ["containerd", "--config", f"{RUN}/containerd.toml"]


def api_server() -> list[str]:
    return [
        f"{BIN}/kube-apiserver",
        f"--advertise-address={NODE_IP}",
        "--secure-port=6443",
        f"--etcd-servers={ETCD}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-client-certificate={PKI}/admin.crt",
        f"--kubelet-client-key={PKI}/admin.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={PKI}/sa.pub",
        f"--service-account-signing-key-file={PKI}/sa.key",
        f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
        f"--proxy-client-key-file={PKI}/front-proxy-client.key",
    ]


def controller_manager() -> list[str]:
    """Autoscalers look every 5 s instead of every 15 s, so that tests are short."""
    return [
        f"{BIN}/kube-controller-manager",
        f"--kubeconfig={RUN}/controller-manager.kubeconfig",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--root-ca-file={PKI}/ca.crt",
        f"--service-account-private-key-file={PKI}/sa.key",
        f"--cluster-signing-cert-file={PKI}/ca.crt",
        f"--cluster-signing-key-file={PKI}/ca.key",
        "--horizontal-pod-autoscaler-sync-period=5s",
    ]


def scheduler() -> list[str]:
    kubeconfig = f"--kubeconfig={RUN}/scheduler.kubeconfig"
    return [f"{BIN}/kube-scheduler", kubeconfig, "--leader-elect=false"]


def kube_proxy() -> list[str]:
    return [f"{BIN}/kube-proxy", f"--config={RUN}/kube-proxy.yaml"]


def kubelet() -> list[str]:
    return [
        f"{BIN}/kubelet",
        f"--config={RUN}/kubelet.yaml",
        f"--kubeconfig={RUN}/kubelet.kubeconfig",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_IP}",
    ]
