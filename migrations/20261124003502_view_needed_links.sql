-- Which blobs the manifests of each repository need: the one place that says so. While it is needed,
-- a blob cannot be deleted.
create view needed_links as
select m.repository_id, f.digest as blob_digest
from manifest_references f join manifests m on m.id = f.manifest_id
where f.kind <> 'manifest'
union all
select m.repository_id, a.blob_digest
from blob_aliases a
join manifest_references f on f.digest = a.digest
join manifests m on m.id = f.manifest_id
where f.kind <> 'manifest';

-- Which blobs collection must leave in each repository: those, and what deleted manifests need that
-- can still be restored. Whatever else must keep blobs is one more branch.
create view kept_links as
select repository_id, blob_digest from needed_links
union all
select repository_id, blob_digest from deleted_manifest_blobs;
