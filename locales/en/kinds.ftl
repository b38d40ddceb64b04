# Messages of the pages, English: what a manifest is, and how it is fetched.

kind-image = Image
kind-index = Multi-platform image
kind-chart = Helm chart
kind-wasm = WebAssembly
kind-signature = Signature
kind-sbom = SBOM
kind-attestation = Attestation
kind-artifact = Artifact
pull-helm = helm
pull-helm-install = helm install
pull-oras = oras
referrer-by-tag = found by tag
