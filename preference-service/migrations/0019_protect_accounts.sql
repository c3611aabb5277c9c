-- Protection of accounts: known devices, verification of addresses, names that look alike, suspensions, the audit log.
alter table user_account
    drop constraint role_known,
    -- The letters of the name as they look (UTS 39): names that look alike have the same. Null until the service has filled it
    -- in, and of names that were alike before.
    add column username_skeleton text,
    -- Since when the address waits for its verification; null: verified, or from before verification was required.
    add column unverified_since timestamptz,
    add column suspended_until timestamptz,
    add column suspension_reason text,
    -- Access tokens that were issued before are invalid.
    add column tokens_valid_from timestamptz;
alter table user_account
    add constraint role_known check (role in ('user', 'moderator', 'admin')) not valid;
alter table user_account validate constraint role_known;
create unique index username_look_alike on user_account (username_skeleton);
create index user_account_unverified on user_account (unverified_since) where unverified_since is not null;
create index user_account_suspended on user_account (suspended_until) where suspended_until is not null;
create index user_account_tokens on user_account (tokens_valid_from) where tokens_valid_from is not null;

-- A new address waits here until the link that was sent to it is opened. Only the hash of the link's token is stored.
create table email_verification (
    user_id    bigint primary key references user_account on delete cascade,
    token_hash bytea not null,
    email      text not null,
    email_key  text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    constraint email_verification_token unique (token_hash),
    constraint email_verification_token_length check (octet_length(token_hash) = 32)
);

-- Devices on which a user has logged in, recognised by a cookie: wrong passwords of others do not lock them out (OWASP,
-- device cookies). Only the hash of the cookie is stored.
create table known_device (
    user_id     bigint not null references user_account on delete cascade,
    device_hash bytea not null,
    created_at  timestamptz not null default now(),
    used_at     timestamptz not null default now(),
    primary key (user_id, device_hash),
    constraint known_device_hash_length check (octet_length(device_hash) = 32)
);

-- Whose data a stored response has, so that their erasure finds it whatever they were called.
alter table idempotency_key add column user_id bigint;
create index idempotency_key_by_user on idempotency_key (user_id) where user_id is not null;

-- What administrators did.
create table audit_entry (
    id         bigint generated always as identity primary key,
    at         timestamptz not null default clock_timestamp(),
    -- The subject of the administrator's token.
    actor      text not null,
    action     text not null,
    -- The user whom it concerned; their erasure removes the reason from `before` and `after`.
    target_id  bigint,
    before     jsonb,
    after      jsonb,
    request_id text
);
create index audit_entry_by_target on audit_entry (target_id, id);
