-- Histories that users bring along from elsewhere. A job that runs holds a lease; a process that dies
-- leaves one that runs out, and whoever takes the job over goes on after the rows that are counted as
-- processed. A row that is done twice changes nothing the second time.
create table import_job (
    user_id          bigint not null references user_account on delete cascade,
    id               uuid not null,
    status           text not null default 'pending',
    dry_run          boolean not null,
    -- [{name, format, rows}], in the order of import_entry.file.
    files            jsonb not null,
    total            int not null,
    processed        int not null default 0,
    succeeded        int not null default 0,
    unchanged        int not null default 0,
    unmatched        int not null default 0,
    failed           int not null default 0,
    skipped          int not null,
    -- The first of them: [{file, line, title, year, reason}] and [{file, line, reason}].
    unmatched_titles jsonb not null default '[]',
    failures         jsonb not null default '[]',
    -- How many films may yet be fetched from TMDB for it.
    fetches_left     int not null,
    -- Who holds the lease. Every write of progress names it, so that a worker that was taken for dead
    -- and is not changes nothing any more.
    worker           uuid,
    lease_until      timestamptz not null default now(),
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now(),
    primary key (user_id, id),
    constraint import_job_status_known
        check (status in ('pending', 'running', 'succeeded', 'failed', 'cancelled'))
);
-- One at a time is enough for anybody, and bounds what they may leave here.
create unique index import_job_one_active on import_job (user_id) where status in ('pending', 'running');
create index import_job_claimable on import_job (lease_until) where status in ('pending', 'running');
create index import_job_by_age on import_job (updated_at);

-- The rows that are about films, until their job has ended. What a row says that the user did has a time.
create table import_entry (
    user_id       bigint not null,
    job_id        uuid not null,
    -- From 1, without gaps.
    position      int not null,
    file          smallint not null,
    line          int not null,
    tmdb_id       bigint,
    imdb_id       text,
    title         text,
    year          int,
    watched_at    timestamptz,
    -- In half stars.
    rating        smallint,
    rated_at      timestamptz,
    bookmarked_at timestamptz,
    liked_at      timestamptz,
    -- The film, of rows that a dry run has gone through: later rows about it build on them.
    movie_id      bigint,
    primary key (user_id, job_id, position),
    foreign key (user_id, job_id) references import_job on delete cascade,
    constraint import_entry_rating_range check (rating between 1 and 10)
);
create index import_entry_by_movie on import_entry (user_id, job_id, movie_id) where movie_id is not null;
