-- When a tag and a manifest were last pushed (again), and when a manifest was last pulled.

alter table tags
    -- Last push that named the tag, also when it did not move.
    add column pushed_at timestamptz not null default now();
update tags set pushed_at = updated_at;

alter table manifests
    -- Last push of these bytes to this repository.
    add column pushed_at timestamptz not null default now();
update manifests set pushed_at = created_at;

-- Added up in memory and flushed every few seconds; a table of its own, so that a flush never
-- rewrites or locks a manifest's row.
create table manifest_pulls (
    manifest_id uuid not null,
    pulled_at timestamptz not null,
    constraint manifest_pulls_pkey primary key (manifest_id),
    constraint manifest_pulls_manifest_id_fkey foreign key (manifest_id) references manifests (id) on delete cascade
);
