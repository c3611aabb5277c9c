-- Versions of the learned models. Their bytes are here, so that every replica gets them from where the
-- rest of its state is.
create table model_version (
    version    bigint generated always as identity primary key,
    created_at timestamptz not null default now(),
    -- What it was made from and how good it is; the same as in the file.
    manifest   jsonb not null,
    bytes      bigint not null,
    sha256     bytea not null,
    constraint model_version_bytes_positive check (bytes > 0)
);
-- In pieces, since one value may not exceed a gigabyte and is held in memory as a whole.
create table model_chunk (
    version bigint not null references model_version on delete cascade,
    place   int not null,
    bytes   bytea not null,
    primary key (version, place)
);
-- Numbers that hardly compress.
alter table model_chunk alter column bytes set storage external;

-- Which version is live: one row, without a version while the rules work alone.
create table model_live (
    id          boolean primary key default true,
    version     bigint references model_version,
    changed_at  timestamptz not null default now(),
    constraint model_live_one_row check (id)
);
insert into model_live default values;

-- Who trains: whoever moves `held_until` into the future, until then.
create table training_lease (
    id         boolean primary key default true,
    held_until timestamptz not null default '-infinity',
    started_at timestamptz not null default '-infinity',
    constraint training_lease_one_row check (id)
);
insert into training_lease default values;
