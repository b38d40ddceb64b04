-- Rules that lock tags: immutable ones stay where they are, protected ones are moved by few.
create table tag_rules (
    id uuid not null,
    project_id uuid not null,
    kind text not null,
    -- Patterns: of the repository's path in the project, and of the tag.
    repository text not null,
    tag text not null,
    -- The weakest role the rule does not bind; null: it binds everybody.
    exempt text,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint tag_rules_pkey primary key (id),
    constraint tag_rules_same_key unique (project_id, kind, repository, tag),
    constraint tag_rules_project_id_fkey foreign key (project_id) references projects (id) on delete cascade,
    constraint tag_rules_kind_check check (kind in ('immutable', 'protected')),
    constraint tag_rules_exempt_check check (kind = 'immutable' or exempt is not null)
);
