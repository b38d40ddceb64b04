-- "Which revision pins this digest" is asked before an image is removed.

create index revisions_images_idx on revisions using gin (images);
