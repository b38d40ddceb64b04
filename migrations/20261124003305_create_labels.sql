-- Labels of a project, and which manifests carry them.
create table labels (
    id uuid not null,
    project_id uuid not null,
    name text collate "C" not null,
    color text not null,
    description text not null default '',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint labels_pkey primary key (id),
    constraint labels_project_id_name_key unique (project_id, name),
    constraint labels_project_id_fkey foreign key (project_id) references projects (id) on delete cascade
);
create table manifest_labels (
    manifest_id uuid not null,
    label_id uuid not null,
    created_by text not null,
    created_at timestamptz not null,
    constraint manifest_labels_pkey primary key (manifest_id, label_id),
    constraint manifest_labels_manifest_id_fkey foreign key (manifest_id) references manifests (id) on delete cascade,
    constraint manifest_labels_label_id_fkey foreign key (label_id) references labels (id) on delete cascade
);
create index manifest_labels_label_id_idx on manifest_labels (label_id);
