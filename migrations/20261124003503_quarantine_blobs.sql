-- A blob whose file is missing or not what its digest says. Clients are told that it is absent, so
-- that the next push brings it again; that push lifts the quarantine.
alter table blobs add column quarantined_at timestamptz;
alter table blobs add column fault text;
alter table blobs add constraint blobs_fault_check check ((quarantined_at is null) = (fault is null));
create index blobs_quarantined_idx on blobs (digest) where quarantined_at is not null;

-- When the file was last put into place: says whether what was read is still what is there.
alter table blobs add column stored_at timestamptz;
update blobs set stored_at = created_at;
alter table blobs alter column stored_at set not null;
