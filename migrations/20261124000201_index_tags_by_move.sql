-- Lists of tags show the newest move first.
create index tags_updated_at_idx on tags (repository_id, updated_at desc, name desc);
