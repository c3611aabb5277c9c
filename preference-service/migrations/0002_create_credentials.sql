-- What proves who somebody is. All of it is a user's, and goes with them.
alter table user_account
    add column role text not null default 'user',
    add constraint role_known check (role in ('user', 'admin'));

-- A row for each login. It knows the newest refresh token alone: any other token of the family has
-- been used, so whoever shows one is not who logged in, or not alone, and the row goes. The family's
-- id stands in its tokens and nowhere else.
create table refresh_family (
    user_id    bigint not null references user_account on delete cascade,
    id         uuid not null,
    -- SHA-256 of the newest token.
    token_hash bytea not null,
    created_at timestamptz not null default now(),
    rotated_at timestamptz not null default now(),
    expires_at timestamptz not null,
    primary key (user_id, id),
    constraint token_hash_length check (octet_length(token_hash) = 32)
);
create index refresh_family_id on refresh_family (id);

create table api_key (
    user_id    bigint not null references user_account on delete cascade,
    id         bigint generated always as identity,
    name       text not null,
    -- SHA-256 of the key.
    key_hash   bytea not null,
    -- How it begins, so that its owner can tell it from others.
    prefix     text not null,
    scopes     text[] not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    primary key (user_id, id),
    constraint key_hash_length check (octet_length(key_hash) = 32),
    constraint api_key_name_length check (char_length(name) between 1 and 100),
    constraint scopes_known check (scopes <@ '{read,write,admin}' and cardinality(scopes) > 0)
);
create index api_key_hash on api_key (key_hash);

-- The Ed25519 keys that access tokens are signed with. The newest that has begun signs; a key is
-- published from the moment it is made until the last token that it signed has expired.
create table signing_key (
    kid            text primary key,
    public_key     bytea not null,
    -- The seed; where it is encrypted: nonce, ciphertext and tag of AES-256-GCM.
    private_key    bytea not null,
    encrypted      boolean not null,
    created_at     timestamptz not null default now(),
    signs_from     timestamptz not null,
    -- Null: until it is replaced.
    verifies_until timestamptz,
    constraint public_key_length check (octet_length(public_key) = 32)
);
