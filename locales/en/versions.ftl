# Messages of the pages, English: versions, labels and rules that lock tags.

tag-history = Tag history
tag-history-of = History of tag { $tag }
tag-moves-none = No tag has moved here yet.
moves-hint = Every push, move and removal of a tag is kept here, with who did it and by which client.
move-when = When
move-from = From
move-to = To
move-who = Who
move-client = Client
move-none = none
move-now = now
move-deleted = deleted, comes back with the tag
move-gone = no longer here
move-back = Move back
flash-tag-restored = Tag { $name } is where it was before.
sort = Order
sort-version = By version
sort-pushed = By push
label-filter = Label
label-any = Any label
locked-by = Locked by the rule “{ $rule }”
deleted-title = Recently deleted
deleted-images = Images
deleted-tags = Tags
deleted-none = Nothing was deleted lately
deleted-none-text = Deleted images and removed tags wait here, in case you want them back.
deleted-window = { $n ->
        [one] Deleted images are kept for { $n } day, then their storage is freed.
       *[other] Deleted images are kept for { $n } days, then their storage is freed.
    }
deleted-off = On this installation, deleting an image is final. Removed tags can be brought back as long as their image is here.
deleted-by = Deleted by
deleted-until = Restorable until
deleted-unrestorable = Cannot be restored
deleted-missing = Its blob { $digest } was deleted, too. Push the image again.
deleted-more-tags = Older removals are in the tag history.
restore = Restore
purge = Delete for good
purge-name = Delete image { $digest } for good
purge-title = Delete image { $digest } of { $name } for good
purge-cost-final = it cannot be restored any more
flash-image-restored = Image { $name } is back.
flash-image-purged = Image { $name } is gone for good.
flash-image-deleted-restorable = Image { $name } is deleted. You find it under “Recently deleted”.
tombstone-title = { $name } was deleted
tombstone-by = Deleted by { $who }
tombstone-until = It can be restored until
tombstone-back = Back to the repository
delete-cost-later = { $n ->
        [one] it can be restored for { $n } day; then up to { $size } of storage is freed
       *[other] it can be restored for { $n } days; then up to { $size } of storage is freed
    }
delete-cost-final = a deleted repository cannot be restored
delete-locked = The rule “{ $rule }” locks it. A maintainer can change the rule.
compare = Compare
compare-with = Compare with
compare-title = Compare two versions
compare-swap = Swap
compare-deploy = Deploy { $name }
compare-identical = Both are the same image.
compare-show = Show
compare-only-changes = Only changes
compare-everything = Everything
compare-state = State
compare-same = same
compare-changed = changed
compare-added = added
compare-removed = removed
compare-moved = moved
compare-setting = Setting
compare-config-same = The settings are the same.
compare-os = Operating system
compare-architecture = Architecture
compare-label = Image label
compare-annotation = Annotation
compare-size-same = same size
compare-size-more = { $size } larger
compare-size-less = { $size } smaller
compare-layer-note = { $shared } in shared layers, { $added } in new ones
labels-title = Labels
labels-manage = All labels
labels-none = No label yet
labels-none-text = Labels are words of your own, such as “stable” or “reviewed”. Put them on images and filter versions by them.
label-new = New label
label-create = Create label
label-name-hint = Letters, digits, dots, underscores and hyphens, at most 40.
label-color = Colour
label-color-hint = The name is always shown with it.
label-images = { $n ->
        [0] on no image
        [one] on { $n } image
       *[other] on { $n } images
    }
label-change-name = Change label { $name }
label-delete = Delete label
label-delete-title = Delete label { $name }
label-delete-cost = { $n ->
        [0] no image carries it
        [one] it vanishes from { $n } image
       *[other] it vanishes from { $n } images
    }
label-edit = Label
label-take-off = Take off { $name }
flash-label-created = Label { $name } is created.
flash-label-saved = Label { $name } is saved.
flash-label-deleted = Label { $name } is deleted.
flash-label-on = The image has the label { $name }.
flash-label-off = The label { $name } is off.
color-grey = Grey
color-teal = Teal
color-green = Green
color-amber = Amber
color-red = Red
color-plum = Plum
color-orange = Orange
rules-title = Tag rules
rules-none = No rule yet
rules-none-text = A rule keeps tags where they are: make releases such as v* immutable, or let only maintainers push latest.
rule-new = New rule
rule-create = Create rule
rule-kind = What it does
rule-kind-hint = Immutable: a tag that exists stays where it is. Protected: only some roles push it.
rule-immutable = Makes tags immutable
rule-protected = Protects tags
rule-tags = Tags
rule-tags-hint = For example v* or release-?.? or { "{" }latest,stable{ "}" }
rule-repositories = Repositories
rule-repositories-hint = ** is all of them; team/* is one level below team.
rule-exempt = Who still may
rule-exempt-hint = This role and stronger ones. A protected rule needs one.
rule-nobody = Nobody
rule-everywhere = all repositories
rule-says-immutable = Tags { $tags } in { $place } are immutable: nobody moves or removes them.
rule-says-immutable-but = Tags { $tags } in { $place } are immutable: they are moved or removed only by { $role } and above.
rule-says-protected = Tags { $tags } in { $place } are protected: they are pushed, moved and removed only by { $role } and above.
rule-remove-name = Remove the rule { $name }
flash-rule-created = The rule “{ $name }” holds from now on.
flash-rule-removed = The rule “{ $name }” is removed.
label-needs-maintainer = Needs the role maintainer.
error-tag_locked = A rule locks this tag; the page of the tag names it.
error-image_gone = This image no longer exists and cannot be restored. Push it again.
error-image_unrestorable = One of the image’s blobs was deleted. Push the image again.
error-image_exists = The image is here again; there is nothing to restore.
error-rule_exists = There is already such a rule.
error-too_many_rules = The project has as many rules as it may have. Remove one first.
error-label_exists = There is already a label of this name.
error-too_many_labels = There are as many labels as there may be. Remove one first.
event-image-restore = restored image { $target }
event-image-purge = gave up deleted image { $target }
event-image-label = labelled image { $target }
event-image-unlabel = took a label off image { $target }
event-tag-restore = moved tag { $target } back
event-label-create = created label { $target }
event-label-update = changed label { $target }
event-label-delete = deleted label { $target }
event-tag-rule-create = made the rule { $target }
event-tag-rule-update = changed the rule { $target }
event-tag-rule-delete = removed the rule { $target }
