# Messages of the pages, English: retention.

nav-retention = Retention
retention-lead = Rules say which tags and images stay. What a rule keeps stays, whatever the others say; what deployments run or can go back to always stays.
retention-rules = Rules
retention-none = Nothing is removed yet
retention-none-text = Without rules every image stays for ever. Most teams start with these; you see exactly what they would remove before anything goes.
retention-use-recommended = Use these rules
retention-removes-nothing = These rules only keep, so nothing is removed. Add a rule that removes tags or untagged images.
retention-removing = removes
retention-keeping = keeps
retention-everywhere = In every repository
retention-place = In repositories matching "{ $pattern }"
retention-keep-latest = { $n ->
        [one] { $place }, keep the most recently pushed tag
       *[other] { $place }, keep the { $n } most recently pushed tags
    }
retention-keep-latest-tags = { $n ->
        [one] { $place }, keep the most recently pushed tag matching "{ $tags }"
       *[other] { $place }, keep the { $n } most recently pushed tags matching "{ $tags }"
    }
retention-keep-pulled = { $n ->
        [one] { $place }, keep what was pulled in the last day
       *[other] { $place }, keep what was pulled in the last { $n } days
    }
retention-keep-pulled-tags = { $n ->
        [one] { $place }, keep tags matching "{ $tags }" that were pulled in the last day
       *[other] { $place }, keep tags matching "{ $tags }" that were pulled in the last { $n } days
    }
retention-keep-pushed = { $n ->
        [one] { $place }, keep what was pushed in the last day
       *[other] { $place }, keep what was pushed in the last { $n } days
    }
retention-keep-pushed-tags = { $n ->
        [one] { $place }, keep tags matching "{ $tags }" that were pushed in the last day
       *[other] { $place }, keep tags matching "{ $tags }" that were pushed in the last { $n } days
    }
retention-keep-tags = { $place }, keep all tags
retention-keep-tags-tags = { $place }, keep tags matching "{ $tags }"
retention-remove-tags = { $place }, remove tags that no rule keeps
retention-remove-tags-tags = { $place }, remove tags matching "{ $tags }" that no rule keeps
retention-remove-untagged = { $n ->
        [one] { $place }, remove untagged images pushed more than a day ago
       *[other] { $place }, remove untagged images pushed more than { $n } days ago
    }
retention-kind = What it does
retention-kind-latest = Keep the most recently pushed tags
retention-kind-pulled = Keep what was pulled lately
retention-kind-pushed = Keep what was pushed lately
retention-kind-tags = Keep tags by name
retention-kind-remove = Remove tags that no rule keeps
retention-kind-untagged = Remove old untagged images
retention-repositories = Repositories
retention-repositories-hint = * is any text without a slash, ** any text: team/*, **. The project's name is left out.
retention-tags = Tags
retention-tags-hint = * is any text, ? one character: v*, *-rc?. Left out for untagged images.
retention-number = Tags or days
retention-number-hint = How many tags to keep, or how many days to look back.
retention-up = Move up
retention-rule-remove = Remove rule
retention-rule-new = Add a rule
retention-rule-add = Add rule
retention-confirm-nothing = I mean it: remove every tag and keep none
retention-schedule = Schedule
retention-next = Next run (UTC):
retention-by-hand = Runs only when somebody applies a preview.
retention-every = How often
retention-every-hint = A scheduled run previews and applies by itself.
retention-every-off = Only by hand
retention-every-day = Every day
retention-every-week = Every week
retention-weekday = Day
retention-weekday-hint = For weekly runs.
retention-hour = Hour
retention-hour-hint = 0 to 23, UTC.
retention-accept-empty = Scheduled runs may leave a repository without any tag
weekday-monday = Monday
weekday-tuesday = Tuesday
weekday-wednesday = Wednesday
weekday-thursday = Thursday
weekday-friday = Friday
weekday-saturday = Saturday
weekday-sunday = Sunday
retention-runs = Runs
retention-runs-none = Nothing has run yet. Preview the rules first; a preview removes nothing.
retention-by-schedule = by schedule
retention-status-planning = Planning
retention-status-running = Running
retention-status-done = Done
retention-status-refused = Refused
retention-status-stopped = Stopped
retention-preview-make = Preview
retention-preview = Preview
retention-preview-lead = Nothing is removed yet. Everything below is as it was when the preview was made.
retention-goes = Goes
retention-stays = Stays
retention-of-tags = { $n ->
        [one] of { $n } tag
       *[other] of { $n } tags
    }
retention-images-go = Images go
retention-images-stay = { $n ->
        [one] { $n } without a tag stays
       *[other] { $n } without a tag stay
    }
retention-freed = Freed
retention-freed-by = by clean-up
retention-freed-later = when clean-up comes by
retention-untouched = { $n } not covered by a rule
retention-show = Show
retention-filter = Filter by repository, tag or digest
retention-rows-none = Nothing here.
retention-image = image
retention-col-what = Tag or image
retention-col-verdict = Verdict
retention-col-why = Why
retention-col-pulled = Pulled
retention-removed = Removed
retention-skipped = Skipped
retention-apply-title = Apply this preview
retention-means = Applying means:
retention-cost-tags = { $n ->
        [one] { $n } tag is removed
       *[other] { $n } tags are removed
    }
retention-cost-images = { $n ->
        [one] { $n } image is removed
       *[other] { $n } images are removed
    }
retention-cost-bytes = { $size } of storage is freed by clean-up, not at once
retention-cost-changed = what is pushed, pulled, moved or deployed before it is reached stays
retention-cost-emptied = { $n ->
        [one] { $n } repository is left without any tag
       *[other] { $n } repositories are left without any tag
    }
retention-valid = Can be applied until
retention-nothing = The rules remove nothing now.
retention-apply = Apply
retention-back = Back to the rules
retention-run-show = Show the run
retention-over-applied = This preview was applied.
retention-over-rules = The rules were changed after this preview. Preview again.
retention-over-time = This preview is older than 15 minutes. Preview again.
retention-run = Run
retention-run-lead = What the preview listed and was still the same is removed; the rest is skipped, with the reason.
retention-report = Report
retention-progress = Progress
retention-and-images = { $n ->
        [one] tags, and { $n } image
       *[other] tags, and { $n } images
    }
retention-of = of { $n }
retention-why-kept = Kept by rule { $n }
retention-why-removed = Removed by rule { $n }
retention-why-none = No rule removes it
retention-why-last-tag = Its last tag goes by rule { $n }
retention-why-index = Stays with the index { $digest }
retention-why-index-goes = Goes with the index { $digest }
retention-why-subject = Stays with its subject { $digest }
retention-why-subject-goes = Goes with its subject { $digest }
retention-locked = Locked by the tag rule "{ $rule }"
retention-use-elsewhere = a deployment of another project
retention-use-current = In use by { $place }: revision { $revision } is to run
retention-use-stable = In use by { $place }: an automatic undo goes to revision { $revision }
retention-use-earlier = In use by { $place }: it can be rolled back to revision { $revision }
retention-skip-gone = Somebody else removed it
retention-skip-moved = The tag moved to { $digest }
retention-skip-pushed = It was pushed again
retention-skip-pulled = It was pulled after the preview
retention-skip-tagged = It has a tag
retention-skip-index = The index { $digest } still names it
retention-skip-subject = Its subject { $digest } is still there
retention-skip-referrer = { $digest }, pushed after the preview, refers to it
retention-skip-refused = Refused: { $why }
retention-skip-rules = The rules were changed during the run
flash-retention-saved = The retention rules of { $name } are saved.
event-retention-update = changed the retention rules of { $target }
event-retention-preview = previewed the retention of { $target }
event-retention-apply = applied a retention preview of { $target }
error-retention_keeps_nothing = These rules remove every tag and keep none. Add a rule that keeps some, or confirm that this is meant.
error-preview_outdated = The rules were changed after this preview. Preview again.
error-preview_expired = This preview is older than 15 minutes. Preview again.
error-confirmation_needed = A repository would be left without any tag. Confirm that this is meant.
error-stale = Somebody else changed this. Open the page again.
error-retention_too_much = The rules reach too many tags and images. Let them remove from fewer repositories at a time.
