-- Jobs that go on where they were. What is left to do stands in rows, so that whoever takes a job
-- over, after a crash or on another replica, does the rest and nothing twice.
alter table job drop constraint job_status_known;
alter table job add constraint job_status_known
    check (status in ('pending', 'running', 'succeeded', 'failed', 'cancelled'));
alter table job
    -- What was asked for, beyond the items: {"pages": 5}.
    add column parameters      jsonb not null default '{}',
    -- Who holds the lease. Every write of progress names it, so that a worker that was taken for dead
    -- and is not changes nothing any more.
    add column worker          uuid,
    -- What the client calls its request, so that asking again begins nothing anew.
    add column idempotency_key text,
    add column request_hash    text;

-- Two syncs at once would fetch the same films; two imports have each their own.
drop index job_one_running;
create unique index job_one_active on job (kind) where status in ('pending', 'running') and kind <> 'import';
create unique index job_by_idempotency_key on job (idempotency_key) where idempotency_key is not null;
-- What a worker that looks for work looks through.
create index job_claimable on job (lease_until) where status in ('pending', 'running');
create index job_by_creation on job (created_at, id);

-- A page of a list, or a film. A page that was read becomes its films.
create table job_item (
    job_id   uuid not null references job on delete cascade,
    -- The order of work; leaves room for the films of a page behind it.
    position bigint not null,
    list     text,
    page     int,
    movie_id bigint,
    state    text not null default 'todo',
    primary key (job_id, position),
    constraint job_item_state_known check (state in ('todo', 'succeeded', 'failed')),
    constraint job_item_is_page_or_movie check ((list is null) = (page is null) and (page is null) <> (movie_id is null))
);
create index job_item_todo on job_item (job_id, position) where state = 'todo';
-- A film that two pages list is done once.
create unique index job_item_movie on job_item (job_id, movie_id) where movie_id is not null;

-- Where a film comes from. One that a dump told of waits for TMDB's own word: its hash says so, which
-- TMDB's answer overwrites, so that nobody has to remember to.
alter table movie
    add column hydrated boolean not null generated always as (source_hash not like 'import:%') stored,
    -- The dumps that told of it: {layout: hash of the row}. The same row again changes nothing.
    add column imports  jsonb not null default '{}';
