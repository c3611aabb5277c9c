-- The change feed's table; see chassis/src/feed.rs. Copied into each service's own migrations,
-- since a service owns its schema.
create table outbox (
    seq        bigint generated always as identity primary key,
    -- Readers see a row only when every older transaction has ended.
    xid        xid8 not null default pg_current_xact_id(),
    name       text not null,
    key        text not null,
    payload    json not null,
    created_at timestamptz not null default now()
);
create index outbox_position on outbox (xid, seq);

-- One row: the epoch of the database, and the position up to which records have expired.
create table outbox_state (
    only_row    boolean primary key default true check (only_row),
    epoch       uuid not null default gen_random_uuid(),
    expired_xid xid8 not null default '0',
    expired_seq bigint not null default 0
);
insert into outbox_state default values;
