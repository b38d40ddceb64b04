-- People, their ways to authenticate, and the counters that slow guessing down.

create table users (
    id uuid not null,
    name text collate "C" not null,
    email text not null,
    -- Argon2id in PHC format, parameters included; null: cannot log in with a password.
    password_hash text,
    platform_role text not null default 'user',
    disabled_at timestamptz,
    -- Raised whenever tokens and cached permissions of this user must die at once.
    auth_version bigint not null default 0,
    locale text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint users_pkey primary key (id),
    constraint users_name_key unique (name),
    constraint users_platform_role_check check (platform_role in ('user', 'auditor', 'admin'))
);
create unique index users_email_key on users (lower(email));

create table sessions (
    id uuid not null,
    user_id uuid not null,
    -- SHA-256 of the cookie's 256-bit random value; the value itself is never stored.
    token_hash bytea not null,
    csrf_token text not null,
    created_at timestamptz not null,
    -- Moved at most once a minute, so that reading a page rarely writes.
    seen_at timestamptz not null,
    expires_at timestamptz not null,
    address inet,
    user_agent text,
    constraint sessions_pkey primary key (id),
    constraint sessions_token_hash_key unique (token_hash),
    constraint sessions_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);
create index sessions_user_id_idx on sessions (user_id);
create index sessions_expires_at_idx on sessions (expires_at);

create table personal_tokens (
    id uuid not null,
    user_id uuid not null,
    name text not null,
    -- SHA-256 of the token; the token is random (256 bit), so no salt is needed.
    token_hash bytea not null,
    -- First characters, so that a person can tell tokens apart.
    prefix text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    constraint personal_tokens_pkey primary key (id),
    constraint personal_tokens_token_hash_key unique (token_hash),
    constraint personal_tokens_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);
create unique index personal_tokens_user_name_key on personal_tokens (user_id, name) where revoked_at is null;

-- Token buckets for login and token requests, per account and per address, shared by all
-- instances and kept over a restart.
create table rate_buckets (
    key text not null,
    tokens double precision not null,
    updated_at timestamptz not null,
    constraint rate_buckets_pkey primary key (key)
);
create index rate_buckets_updated_at_idx on rate_buckets (updated_at);

-- Keys and random values made once per installation, encrypted with the key of the data
-- directory (or given by the environment).
create table installation_secrets (
    name text not null,
    ciphertext bytea not null,
    created_at timestamptz not null,
    constraint installation_secrets_pkey primary key (name)
);
