-- The history of a whole repository, newest move first.
create index tag_history_repository_idx on tag_history (repository_id, id desc);
