//go:build tools

// Package servers names what `make kube-apiserver` builds, so that go.mod and go.sum pin it.
package servers

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
