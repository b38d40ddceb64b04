-- Orders tags as versions: bytes made by the program, so that the index pages by them. Empty: not
-- made yet; housekeeping fills it in.
alter table tags add column version_key bytea not null default ''::bytea;
create index tags_version_key_idx on tags (repository_id, version_key desc, name desc);
create index tags_without_version_key_idx on tags (repository_id, name) where version_key = ''::bytea;
