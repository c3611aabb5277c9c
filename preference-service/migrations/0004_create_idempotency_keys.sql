-- The first answers to POSTs that came with an Idempotency-Key. Whose key it is comes first, since two
-- users may choose the same.
create table idempotency_key (
    principal    text not null,
    key          text not null,
    -- Of method, path and body.
    request_hash bytea not null,
    -- Null while the first request is under way, for as long as `locked_until` says.
    status       smallint,
    headers      jsonb,
    body         bytea,
    locked_until timestamptz not null,
    created_at   timestamptz not null default clock_timestamp(),
    primary key (principal, key),
    constraint idempotency_key_answer_whole
        check (num_nonnulls(status, headers, body) in (0, 3))
);
create index idempotency_key_by_age on idempotency_key (created_at);
