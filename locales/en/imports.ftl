# Messages of the pages, English: imports and sources.

nav-imports = Imports
import-new = Import from another registry
import-from = Image or repository
import-from-hint = Such as ghcr.io/team/app:1.2 or docker.io/library/alpine@sha256:…; with a stored source, without the host.
import-source = Stored source
import-source-none = none: read it as anybody may
import-source-hint = A registry with a user name and a secret that this project keeps.
import-scope = What to import
import-scope-image = One image, all its platforms
import-scope-repository = The whole repository
import-scope-hint = A whole repository brings all its tags.
import-tags = Only tags that match
import-tags-hint = For a whole repository: * is any text, ? one character, such as v1.*
import-referrers = Signatures and other referrers
import-referrers-hint = Also what refers to the images: signatures, attestations, SBOMs.
import-repository = Repository here
import-repository-hint = Below { $project }/; the name it has there when empty.
import-start = Import
import-retry = Retry
import-retry-hint = A retry goes on where this one ended.
import-queued = Waits for its turn
import-waiting = Waits for another try
import-running = Running
import-stopping = Being cancelled
import-done = Imported
import-failed = Failed
import-cancelled = Cancelled
import-not-begun = not begun
import-planning = reading what the source has
import-nothing-copied = nothing was copied
import-progress = { $done } of { $all }, { $manifests } of { $of } manifests
import-counted = { $tags ->
        [one] { $tags } tag
       *[other] { $tags } tags
    }, { $manifests ->
        [one] { $manifests } manifest
       *[other] { $manifests } manifests
    }, { $size }, of which { $present } were here
import-again-in = { $why }. Tried again in { $span }.
import-to = Into
import-asked = Asked for
import-started = Started
import-ended = Ended
import-blobs = Layers and configs
import-blob-type = Type
import-blob-state = State
import-blobs-more = { $n ->
        [one] { $n } more
       *[other] { $n } more
    }
blob-waiting = waits
blob-copying = is copied
blob-copied = copied
blob-present = was here
answer-yes = yes
answer-no = no
imports-none = Nothing imported yet
imports-none-text = An import copies images from another registry, digest by digest, with all platforms and signatures.
imports-teach-resume = It goes on after a broken line or a restart, and skips what is here.
imports-teach-last = Tags appear when everything they lead to has arrived.
imports-teach-private = For a private registry, store it as a source first.
sources-title = Sources
sources-none = No source yet
sources-none-text = A source is a registry with a user name and a secret. Public images need none.
source-new = Store a source
source-name-hint = Lower-case letters, digits and hyphens. It cannot be changed.
source-url = Registry
source-url-hint = Its address, such as https://ghcr.io
source-url-again = When the address changes, the secret must be given again.
source-username = User name
source-username-hint = Empty for a registry that anybody may read.
source-secret = Secret
source-secret-hint = A password or a token that may read. It is encrypted and never shown again.
source-secret-keep = Empty: the stored one stays.
source-secret-kept = secret stored
source-anonymous = none
source-token-host = Token service
source-token-host-hint = Only if the registry's logins are on another host, such as auth.example.org. The secret is sent there, too.
source-store = Store
source-remove = Remove the source
source-remove-title = Remove the source { $name }
source-cost-secret = The secret of { $name } is erased.
source-cost-imports = Imports that still need it fail. What was imported stays.
needs-maintainer = Needs the role maintainer.
flash-import-asked = The import of { $name } was asked for.
flash-import-cancelled = The import of { $name } ends.
flash-import-retried = The import of { $name } is tried again.
flash-source-stored = Source { $name } is stored.
flash-source-removed = Source { $name } is removed.
event-import-create = asked for the import of { $target }
event-import-finish = imported { $target }
event-import-cancel = asked for the end of the import of { $target }
event-import-stop = stopped importing { $target }
event-import-retry = asked for another try to import { $target }
event-source-create = stored the source { $target }
event-source-update = changed the source { $target }
event-source-delete = removed the source { $target }
error-source_exists = A source of this name is stored already.
error-too_many_sources = This project has as many sources as it may keep. Remove one first.
error-import_finished = This import has ended already.
error-import_not_ended = Only imports that failed or were cancelled can be tried again.
error-address_refused = The source's address is not on the public internet, and no administrator allows its network.
error-redirect_refused = The source redirects to where an import may not go.
error-unreachable = The source cannot be reached.
error-source_unauthorized = The source does not accept the user name and secret, or wants some.
error-source_denied = The source does not let this account read the repository.
error-source_not_found = The source does not have it.
error-source_rate_limited = The source asks for fewer requests.
error-source_unavailable = The source does not answer properly.
error-source_invalid = The source sends something that is not right.
error-source_gone = The stored source was removed.
error-foreign_realm = The source asks to send the secret to another host. Name that host in the source, if it is its token service.
error-rights_lost = Who asked for it may no longer import into this project.
error-interrupted = Its runs were cut off again and again.
