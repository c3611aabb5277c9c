-- Logins of televisions and command lines (RFC 8628). Only hashes of the codes are stored.
create table device_grant (
    device_hash    bytea primary key,
    user_code_hash bytea not null,
    -- The name of the program, as it states it.
    client_id      text not null,
    created_at     timestamptz not null default now(),
    expires_at     timestamptz not null,
    -- The time of the last poll, and the seconds that have to pass between two.
    polled_at      timestamptz,
    poll_interval  int not null default 5,
    -- The user who decided, and what.
    user_id        bigint references user_account on delete cascade,
    approved       boolean,
    constraint device_grant_user_code unique (user_code_hash),
    constraint device_grant_hash_length check (octet_length(device_hash) = 32 and octet_length(user_code_hash) = 32),
    constraint device_grant_client_length check (char_length(client_id) between 1 and 100),
    constraint device_grant_decided check ((user_id is null) = (approved is null))
);
create index device_grant_by_end on device_grant (expires_at);
create index device_grant_by_user on device_grant (user_id) where user_id is not null;
