-- Blobs that deleted manifests need to come back; their links are kept as long as such a row lives.
create table deleted_manifest_blobs (
    repository_id uuid not null,
    -- As it is stored (the SHA-256), whatever digest the manifest used.
    blob_digest text collate "C" not null,
    manifest_id uuid not null,
    constraint deleted_manifest_blobs_pkey primary key (repository_id, blob_digest, manifest_id),
    constraint deleted_manifest_blobs_manifest_id_fkey foreign key (manifest_id) references deleted_manifests (id) on delete cascade
);
create index deleted_manifest_blobs_manifest_id_idx on deleted_manifest_blobs (manifest_id);
