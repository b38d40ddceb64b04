# Messages of the pages, English: repositories.

repositories-none = No images yet
repositories-none-text = Push the first one from your machine. The repository is created for you.
repositories-waiting = Waiting for the first push. This page changes by itself.
repositories-filter = Filter repositories
uploads-title = Pushes under way
no-tags = no tag
no-tags-title = No tag yet
no-tags-text = The repository exists, but nothing in it has a name. Push an image with a tag.
versions = Versions
tags-filter = Filter, e.g. 2.13
repository-tags = { $n ->
        [one] { $n } tag
       *[other] { $n } tags
    }
repository-size = { $size } after layer sharing
repository-pulls = { $n ->
        [one] { $n } pull in 30 days
       *[other] { $n } pulls in 30 days
    }
running = running
runs-in = { $name } in { $environment }
image = Image
image-digest = Digest
image-platforms = Platforms
image-platform = Platform
image-platform-unknown = unknown
image-manifest-size = Manifest
image-size = Download size
image-pushed = Pushed
pull-with = Pull with
pull-docker = docker
pull-podman = podman
pull-digest = by digest
pull-skopeo = skopeo
pull-curl = curl
tab-summary = Summary
tab-layers = Layers
tab-config = Config
tab-history = History
tab-manifest = Manifest
tab-referrers = Referrers
layers-label = { $n ->
        [one] { $n } layer, { $size }
       *[other] { $n } layers, { $size }
    }
layers-against = compared with what runs in { $place }
layer-instruction = Instruction
layer-share = Share
layer-against = Against running
layer-same = unchanged
layer-changed = changed
config-entrypoint = Entrypoint
config-command = Command
config-user = User
config-workdir = Working directory
config-ports = Ports
config-built = Built
config-env = Environment variable
config-none = This artifact has no image config.
config-only = config only
history-none = The image does not say how it was built.
referrers-none = Nothing refers to this image: no signature, no SBOM.
delete-tag = Remove tag
delete-image = Delete image
delete-repository = Delete repository
delete-tag-title = Remove tag { $tag } from { $name }
delete-image-title = Delete image { $digest } of { $name }
delete-repository-title = Delete repository { $name }
delete-cost-tags = { $n ->
        [one] { $n } tag goes
       *[other] { $n } tags go
    }
delete-cost-size = up to { $size } of storage is freed at the next clean-up
delete-cost-tag-stays = { $n ->
        [one] the image stays, with { $n } other tag
       *[other] the image stays, with { $n } other tags
    }
delete-blocked = It runs in { $places }. Deploy another image there first.
flash-tag-deleted = Tag { $name } is removed.
flash-image-deleted = Image { $name } is deleted.
flash-repository-deleted = Repository { $name } is deleted.
