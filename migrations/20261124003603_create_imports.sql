-- What an import job copies, from where to where.
create table imports (
    job_id uuid not null,
    project_id uuid not null,
    -- The stored source it uses; the name stays when the source goes.
    source_id uuid,
    source_name text,
    url text not null,
    source_repository text not null,
    -- A tag or a digest; null: the whole repository.
    source_reference text,
    -- Only tags that match; null: all.
    tag_pattern text,
    -- The tag to set here; null: none, or as there.
    target_tag text,
    with_referrers boolean not null,
    -- Full name of the repository it goes to.
    repository text not null,
    -- When everything it copies was known and written down below.
    planned_at timestamptz,
    constraint imports_pkey primary key (job_id),
    constraint imports_job_id_fkey foreign key (job_id) references jobs (id) on delete cascade,
    constraint imports_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint imports_source_id_fkey foreign key (source_id) references import_sources (id) on delete set null
);
create index imports_project_id_idx on imports (project_id);
create index imports_source_id_idx on imports (source_id);

-- The plan: manifests in the order of their push (children before the index, a subject before its
-- referrers). Gone once the import is done.
create table import_manifests (
    job_id uuid not null,
    position integer not null,
    digest text collate "C" not null,
    media_type text not null,
    -- The bytes as the source sent them, verified.
    content bytea not null,
    -- Tags to set once all manifests are here.
    tags text[] not null default '{}',
    pushed boolean not null default false,
    constraint import_manifests_pkey primary key (job_id, position),
    constraint import_manifests_job_id_fkey foreign key (job_id) references imports (job_id) on delete cascade
);

create table import_blobs (
    job_id uuid not null,
    position integer not null,
    digest text collate "C" not null,
    media_type text not null,
    size bigint not null,
    state text not null default 'waiting',
    -- The upload session that receives it, so that another run goes on where this one ended.
    upload_id uuid,
    constraint import_blobs_pkey primary key (job_id, digest),
    constraint import_blobs_job_id_fkey foreign key (job_id) references imports (job_id) on delete cascade,
    constraint import_blobs_state_check check (state in ('waiting', 'copying', 'copied', 'present')),
    constraint import_blobs_size_check check (size >= 0)
);
