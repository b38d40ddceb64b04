-- What a project stores, counted where it changes, and how much it may store.

-- Links of a blob in all repositories of a project. A blob is charged while there is one.
create table project_blobs (
    project_id uuid not null,
    blob_digest text collate "C" not null,
    links bigint not null,
    constraint project_blobs_pkey primary key (project_id, blob_digest),
    constraint project_blobs_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint project_blobs_blob_digest_fkey foreign key (blob_digest) references blobs (digest) on delete cascade
);
create index project_blobs_blob_digest_idx on project_blobs (blob_digest);
create index project_blobs_gone_idx on project_blobs (project_id) where links <= 0;

-- The settled part of the use, and the limits; no row: nothing settled, no limit.
create table project_usage (
    project_id uuid not null,
    -- Distinct blobs and the manifests themselves.
    bytes bigint not null default 0,
    manifests bigint not null default 0,
    -- Null: no limit.
    max_bytes bigint,
    max_manifests bigint,
    -- Counts changes of the limits.
    generation bigint not null default 0,
    updated_at timestamptz not null,
    constraint project_usage_pkey primary key (project_id),
    constraint project_usage_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint project_usage_max_bytes_check check (max_bytes >= 0),
    constraint project_usage_max_manifests_check check (max_manifests >= 0)
);

-- Changes of the use that are not settled yet. Writing a row of its own lets pushes to a project
-- without a limit go on side by side.
create table project_usage_changes (
    id bigint generated always as identity,
    project_id uuid not null,
    bytes bigint not null,
    manifests bigint not null,
    constraint project_usage_changes_pkey primary key (id),
    constraint project_usage_changes_project_id_fkey foreign key (project_id) references projects (id) on delete cascade
);
create index project_usage_changes_project_id_idx on project_usage_changes (project_id);

insert into project_blobs (project_id, blob_digest, links)
select r.project_id, rb.blob_digest, count(*)
from repository_blobs rb join repositories r on r.id = rb.repository_id
group by r.project_id, rb.blob_digest;

insert into project_usage (project_id, bytes, manifests, updated_at)
select p.id,
       coalesce((select sum(b.size) from project_blobs pb join blobs b on b.digest = pb.blob_digest
                 where pb.project_id = p.id), 0) + coalesce(m.bytes, 0),
       coalesce(m.manifests, 0),
       now()
from projects p
left join (select r.project_id, sum(m.size) as bytes, count(*) as manifests
           from manifests m join repositories r on r.id = m.repository_id
           group by r.project_id) m on m.project_id = p.id;
