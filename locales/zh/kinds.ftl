# Messages of the pages, Chinese: what a manifest is, and how it is fetched.

kind-image = 镜像
kind-index = 多平台镜像
kind-chart = Helm Chart
kind-wasm = WebAssembly
kind-signature = 签名
kind-sbom = SBOM
kind-attestation = 证明
kind-artifact = 制品
pull-helm = helm
pull-helm-install = helm install
pull-oras = oras
referrer-by-tag = 通过标签找到
