-- Tags with what people want to know about them, in any order.

create view listed_tags as
select t.repository_id, t.name, t.updated_at, t.version_key, m.id as manifest_id, m.digest,
       m.media_type, m.total_size,
       coalesce((select h.actor_name from tag_history h
                 where h.repository_id = t.repository_id and h.tag = t.name
                 order by h.id desc limit 1), m.pushed_by) as pushed_by,
       array(select o.name from tags o
             where o.manifest_id = t.manifest_id and o.name <> t.name
             order by o.name limit 20) as aliases,
       array(select f.platform from manifest_references f
             where f.manifest_id = m.id and f.kind = 'manifest' and f.platform is not null
             union all
             select concat(m.config->'config'->>'os', '/', m.config->'config'->>'architecture')
             where m.config->'config'->>'architecture' <> ''
             limit 20) as platforms,
       array(select l.color || ':' || l.name
             from manifest_labels ml join labels l on l.id = ml.label_id
             where ml.manifest_id = m.id order by l.name) as labels
from tags t join manifests m on m.id = t.manifest_id;
