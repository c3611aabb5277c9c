-- The columns of jobs that the job engine reads and writes; see chassis/src/jobs.rs. Copied into each
-- service's own migrations, which add the columns of the work itself.
create table job (
    id          uuid primary key,
    kind        text not null,
    status      text not null default 'pending',
    -- The process that holds the lease, and the end of the lease.
    worker      uuid,
    lease_until timestamptz not null default now(),
    created_at  timestamptz not null default now(),
    -- The last progress.
    updated_at  timestamptz not null default now(),
    constraint job_status_known check (status in ('pending', 'running', 'succeeded', 'failed', 'cancelled'))
);
create index job_claimable on job (lease_until) where status in ('pending', 'running');
