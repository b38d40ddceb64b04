# Messages of the pages, English: quotas and clean-up of the store.

nav-quota = Quota
nav-quotas = Quotas
nav-cleanup = Clean-up
quota-about = A blob counts once in a project, however many of its repositories have it. Manifests count their own bytes.
quota-used = Used
quota-storage = Storage
quota-artifacts = Artifacts
quota-of = { $used } of { $limit }
quota-unlimited = { $used }, no limit
quota-full = The project is full: pushes that bring something new are refused. Delete images that nobody needs, or have the limit raised.
quota-largest = Largest repositories
quota-shared = Repositories that share layers each show them, so the sum may be more than what the project uses.
quota-empty = What you push to this project is counted here.
quota-limits = Limits
quota-storage-hint = A size, for example 10 GB or 512 MiB; empty: no limit. A limit below what is used removes nothing, but nothing new fits.
quota-artifacts-hint = How many manifests, for example 500; empty: no limit.
quota-who = Only an administrator of this registry can change the limits.
quota-recalculate = Count again
quota-recalculate-text = The use is checked every night. Count again if you doubt it; pushes go on meanwhile.
quota-recalculate-all = Count all again
quotas-filter = Filter projects
quotas-none = No project
quotas-none-text = Projects with what they store appear here.
flash-quota-saved = The limits of { $name } were saved.
flash-quota-right = The count of { $name } was right.
flash-quota-mended = The count of { $name } was wrong and was mended; the audit log says by how much.
flash-run-requested = Asked for. It starts within a minute, and its result appears below.
cleanup-about = What no image needs is removed while pushes and pulls go on. A blob is kept for { $grace } after it was last used.
cleanup-run = Collect now
cleanup-dry-run = Dry run
cleanup-stored = Stored
cleanup-ready = Can be freed now
cleanup-pending = Not needed, still kept
cleanup-until = until
cleanup-blobs = { $n ->
    [one] 1 blob
   *[other] { $n } blobs
}
cleanup-uploads = Open uploads
cleanup-last = Last collection
cleanup-never = none yet
cleanup-next = Next collection
cleanup-sound = Soundness
cleanup-sound-text = A scrub reads every stored blob again and compares it with its digest.
cleanup-scrub-off = Scheduled scrubs are switched off.
cleanup-scrub-rate = One runs every week and reads at most { $size } a second.
cleanup-no-corrupt = No corrupt blob is known.
cleanup-corrupt = { $n ->
    [one] 1 blob is corrupt and out of service. Push an image with it again, and it is healed.
   *[other] { $n } blobs are corrupt and out of service. Push images with them again, and they are healed.
}
cleanup-fault = What is wrong
cleanup-heal = Push again to
cleanup-nowhere = no repository has it
cleanup-scrub = Scrub now
cleanup-sweep = Sweep lost files now
cleanup-history = Runs
cleanup-no-runs = Nothing ran yet
cleanup-no-runs-text = The first collection runs within a minute after the server starts.
cleanup-what = What
cleanup-result = Result
cleanup-by = Started by
cleanup-started = Started
cleanup-took = Took
cleanup-ready-text = A collection would remove exactly these { $blobs } blobs now and free { $size }. Nothing was removed.
cleanup-pending-text = Blobs that no image needs, with the moment from which a collection may remove them. Whoever pushes, mounts or looks at one keeps it.
cleanup-all-unneeded = All that nobody needs
cleanup-nothing = Nothing to remove
cleanup-nothing-text = Every stored blob is needed by an image, or was used a short time ago.
cleanup-touched = Last used
cleanup-free = Can go
cleanup-free-now = now
cleanup-linked = Still in
run-collection = Collection
run-sweep = Sweep
run-scrub = Scrub
run-check = Check
run-quota = Count of quotas
run-waiting = Waiting
run-running = Running
run-interrupted = Interrupted
run-done = Done
run-failed = Failed
run-by-schedule = schedule
run-by-command = command line
run-freed = { $size } freed: { $blobs } blobs, { $links } links, { $uploads } idle uploads
run-swept = { $blobs } blob files and { $uploads } upload files without a row removed
run-read = { $size } in { $blobs } blobs read, { $faults } wrong
run-counted = { $n ->
    [0] every count was right
    [one] 1 project was counted wrong and mended
   *[other] { $n } projects were counted wrong and mended
}
event-quota-update = changed the quota of { $target }
event-collection-request = asked for a { $target }
event-collection-run = collected what no image needs
event-collection-sweep = removed files that were left without a row
event-blob-heal = healed the corrupt blob { $target }
