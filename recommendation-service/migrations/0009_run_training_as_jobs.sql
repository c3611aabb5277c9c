-- Scheduled training runs as a job of the engine; see chassis/migrations/job.sql.
create table job (
    id          uuid primary key,
    kind        text not null,
    status      text not null default 'pending',
    worker      uuid,
    lease_until timestamptz not null default now(),
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint job_status_known check (status in ('pending', 'running', 'succeeded', 'failed', 'cancelled'))
);
create index job_claimable on job (lease_until) where status in ('pending', 'running');
create unique index job_one_active on job (kind) where status in ('pending', 'running');
create index job_by_creation on job (kind, created_at);

-- The next training is due an interval after the last one began.
insert into job (id, kind, status, created_at, updated_at)
select gen_random_uuid(), 'training', 'succeeded', started_at, started_at
from training_lease where started_at > '-infinity';
drop table training_lease;
