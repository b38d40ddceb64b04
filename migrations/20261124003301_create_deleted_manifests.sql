-- Deleted manifests, kept whole for a while so that they can be brought back.
create table deleted_manifests (
    -- The manifest's own id; it returns with it.
    id uuid not null,
    repository_id uuid not null,
    digest text collate "C" not null,
    media_type text not null,
    content bytea not null,
    size bigint not null,
    artifact_type text,
    subject_digest text collate "C",
    config_digest text collate "C",
    config_media_type text,
    annotations jsonb not null,
    total_size bigint not null,
    config jsonb,
    pushed_by text not null,
    -- When it was pushed.
    created_at timestamptz not null,
    -- Tags that named it and labels it carried when it was deleted.
    tags text[] collate "C" not null default '{}',
    labels uuid[] not null default '{}',
    deleted_by text not null,
    client text not null default '',
    deleted_at timestamptz not null,
    -- Purged from then on.
    expires_at timestamptz not null,
    constraint deleted_manifests_pkey primary key (id),
    constraint deleted_manifests_repository_id_digest_key unique (repository_id, digest),
    constraint deleted_manifests_repository_id_fkey foreign key (repository_id) references repositories (id) on delete cascade
);
create index deleted_manifests_deleted_at_idx on deleted_manifests (repository_id, deleted_at desc, id desc);
create index deleted_manifests_expires_at_idx on deleted_manifests (expires_at);
create index deleted_manifests_tags_idx on deleted_manifests using gin (tags);
