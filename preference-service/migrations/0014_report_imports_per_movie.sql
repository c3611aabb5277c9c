-- The report of an import: movies that were not found and rows that could not be taken, each in a table of its own, so that
-- it is complete and read page by page. `unmatched_titles` and `failures` of `job` are those of earlier imports; replicas of
-- the release before still write them.
alter table job
    -- [{name, reason}] of files that are skipped as a whole, and {kind: rows} of rows about other kinds of titles.
    add column skipped_files jsonb not null default '[]',
    add column skipped_kinds jsonb not null default '{}';

create table import_unmatched (
    user_id    bigint   not null,
    job_id     uuid     not null,
    -- From 1, with gaps.
    n          int      not null,
    -- What makes rows be about one movie, see ImportEntry::movie_key.
    movie_key  text     not null,
    -- The place of the first row.
    file       smallint not null,
    line       int      not null,
    -- The number of rows.
    rows       int      not null,
    title      text,
    year       int,
    tmdb_id    bigint,
    imdb_id    text,
    reason     text     not null,
    -- [{tmdb_id, title, year}]
    candidates jsonb    not null default '[]',
    -- The movie that the user named.
    movie_id   bigint,
    primary key (user_id, job_id, n),
    unique (user_id, job_id, movie_key),
    foreign key (user_id, job_id) references job on delete cascade,
    constraint import_unmatched_reason_known check (reason in ('unknown', 'ambiguous', 'not_fetched'))
);

create table import_failure (
    user_id bigint not null,
    job_id  uuid   not null,
    -- From 1.
    n       int    not null,
    file    text,
    line    int,
    field   text,
    reason  text   not null,
    title   text,
    -- The number of rows.
    rows    int    not null,
    primary key (user_id, job_id, n),
    foreign key (user_id, job_id) references job on delete cascade
);

alter table import_entry
    -- The site.
    add column source    text,
    -- The movie for which the row waits, in import_unmatched.
    add column unmatched int;
create index import_entry_waiting on import_entry (user_id, job_id, unmatched) where unmatched is not null;
