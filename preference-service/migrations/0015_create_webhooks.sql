-- Hooks to which media servers send what a user plays. Only the hash of a secret is stored.
create table webhook (
    id          bigint generated always as identity primary key,
    -- The owner; of a household hook an administrator.
    user_id     bigint not null references user_account on delete cascade,
    provider    text not null,
    name        text not null,
    secret_hash bytea not null,
    -- How the secret begins, so that its owner can tell it from others.
    prefix      text not null,
    -- The only user of the server whose events count; null: all.
    server_user text,
    -- Of a household hook: {"the server's user": our user's id}; null of a user's own.
    users       jsonb,
    created_at  timestamptz not null default now(),
    rotated_at  timestamptz not null default now(),
    constraint webhook_provider_known check (provider in ('jellyfin', 'plex', 'emby', 'kodi')),
    constraint webhook_name_length check (char_length(name) between 1 and 100),
    constraint webhook_secret_hash_length check (octet_length(secret_hash) = 32),
    constraint webhook_for_one_or_many check (server_user is null or users is null)
);
create unique index webhook_by_secret on webhook (secret_hash);
create index webhook_by_user on webhook (user_id);

-- The last deliveries of each hook, by the hash of their bodies: a delivery that is sent again has the time at which it was
-- first received.
create table webhook_delivery (
    webhook_id  bigint not null references webhook on delete cascade,
    hash        bytea not null,
    received_at timestamptz not null default now(),
    count       int not null default 1,
    event       text not null,
    title       text,
    -- Whose event it is.
    user_id     bigint,
    movie_id    bigint,
    outcome     text not null,
    reason      text,
    primary key (webhook_id, hash),
    constraint webhook_delivery_outcome_known
        check (outcome in ('pending', 'applied', 'unchanged', 'skipped', 'unmatched', 'unknown_user', 'invalid'))
);
create index webhook_delivery_by_time on webhook_delivery (webhook_id, received_at);
create index webhook_delivery_by_user on webhook_delivery (user_id) where user_id is not null;
