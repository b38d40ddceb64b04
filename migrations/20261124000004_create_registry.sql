-- Repositories, blobs, uploads, manifests, tags and their history.

create table repositories (
    id uuid not null,
    project_id uuid not null,
    -- Full name, project included.
    name text collate "C" not null,
    description text not null default '',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint repositories_pkey primary key (id),
    constraint repositories_name_key unique (name),
    constraint repositories_project_id_fkey foreign key (project_id) references projects (id) on delete restrict
);
create index repositories_project_id_idx on repositories (project_id, name);

-- Bytes in the blob store, keyed by the SHA-256 of their content, whatever digest clients use.
create table blobs (
    digest text collate "C" not null,
    size bigint not null,
    created_at timestamptz not null,
    -- Last time a push, HEAD or mount relied on it; collection leaves fresh blobs alone.
    touched_at timestamptz not null,
    constraint blobs_pkey primary key (digest),
    constraint blobs_size_check check (size >= 0)
);

-- Other digests (sha512) of the same bytes.
create table blob_aliases (
    digest text collate "C" not null,
    blob_digest text collate "C" not null,
    constraint blob_aliases_pkey primary key (digest),
    constraint blob_aliases_blob_digest_fkey foreign key (blob_digest) references blobs (digest) on delete cascade
);
create index blob_aliases_blob_digest_idx on blob_aliases (blob_digest);

-- A blob exists for a caller only through a repository that the caller may read.
create table repository_blobs (
    repository_id uuid not null,
    blob_digest text collate "C" not null,
    created_at timestamptz not null,
    constraint repository_blobs_pkey primary key (repository_id, blob_digest),
    constraint repository_blobs_repository_id_fkey foreign key (repository_id) references repositories (id) on delete cascade,
    constraint repository_blobs_blob_digest_fkey foreign key (blob_digest) references blobs (digest) on delete restrict
);
create index repository_blobs_blob_digest_idx on repository_blobs (blob_digest);

create table uploads (
    id uuid not null,
    repository_id uuid not null,
    user_id uuid,
    -- Bytes that are on disk for certain. The file may be longer after a crash; it is cut to this.
    received bigint not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint uploads_pkey primary key (id),
    constraint uploads_repository_id_fkey foreign key (repository_id) references repositories (id) on delete cascade,
    constraint uploads_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);
create index uploads_user_id_idx on uploads (user_id);
create index uploads_updated_at_idx on uploads (updated_at);

create table manifests (
    id uuid not null,
    repository_id uuid not null,
    digest text collate "C" not null,
    media_type text not null,
    -- The bytes as pushed; never re-serialised, because the digest is over them.
    content bytea not null,
    size bigint not null,
    artifact_type text,
    subject_digest text collate "C",
    config_digest text collate "C",
    config_media_type text,
    annotations jsonb not null default '{}',
    -- Sum of the config and layers (for an index: of its children that are here), bytes.
    total_size bigint not null default 0,
    -- Facts read from the config for people: architecture, os, created, entrypoint, ports, env names.
    config jsonb,
    pushed_by text not null,
    created_at timestamptz not null,
    constraint manifests_pkey primary key (id),
    constraint manifests_repository_id_digest_key unique (repository_id, digest),
    constraint manifests_repository_id_fkey foreign key (repository_id) references repositories (id) on delete cascade
);
create index manifests_subject_idx on manifests (repository_id, subject_digest) where subject_digest is not null;
create index manifests_created_idx on manifests (repository_id, created_at desc, id desc);

-- What a manifest refers to: layers and config (kind 'blob'), children of an index (kind 'manifest').
create table manifest_references (
    manifest_id uuid not null,
    kind text not null,
    digest text collate "C" not null,
    position integer not null,
    media_type text not null,
    size bigint not null,
    platform text,
    constraint manifest_references_pkey primary key (manifest_id, kind, position),
    constraint manifest_references_manifest_id_fkey foreign key (manifest_id) references manifests (id) on delete cascade,
    constraint manifest_references_kind_check check (kind in ('config', 'layer', 'manifest'))
);
create index manifest_references_digest_idx on manifest_references (digest);

create table tags (
    repository_id uuid not null,
    name text collate "C" not null,
    manifest_id uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint tags_pkey primary key (repository_id, name),
    constraint tags_repository_id_fkey foreign key (repository_id) references repositories (id) on delete cascade,
    constraint tags_manifest_id_fkey foreign key (manifest_id) references manifests (id) on delete cascade
);
create index tags_manifest_id_idx on tags (manifest_id);

-- Every move of a tag: who, when, from what, to what (null: removed).
create table tag_history (
    id bigint generated always as identity,
    repository_id uuid not null,
    tag text collate "C" not null,
    from_digest text collate "C",
    to_digest text collate "C",
    actor_name text not null,
    client text not null default '',
    created_at timestamptz not null,
    constraint tag_history_pkey primary key (id),
    constraint tag_history_repository_id_fkey foreign key (repository_id) references repositories (id) on delete cascade
);
create index tag_history_tag_idx on tag_history (repository_id, tag, id desc);

-- Pull counters, added up in memory and flushed every few seconds.
create table pull_counts (
    repository_id uuid not null,
    day date not null,
    pulls bigint not null,
    constraint pull_counts_pkey primary key (repository_id, day),
    constraint pull_counts_repository_id_fkey foreign key (repository_id) references repositories (id) on delete cascade
);
