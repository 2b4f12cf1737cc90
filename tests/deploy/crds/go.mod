module authsvc/tests/deploy/crds

go 1.21

require github.com/prometheus-operator/prometheus-operator v0.85.0
