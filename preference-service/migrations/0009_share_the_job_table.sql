-- The job engine of all services works on a table named `job`; see chassis/migrations/job.sql.
alter table import_job rename to job;
alter table job add column kind text not null default 'import';
-- The engine finds jobs by their id alone.
create unique index job_by_id on job (id);
alter table job rename constraint import_job_pkey to job_pkey;
alter table job rename constraint import_job_user_id_fkey to job_user_id_fkey;
alter table job rename constraint import_job_status_known to job_status_known;
alter index import_job_one_active rename to job_one_active;
alter index import_job_claimable rename to job_claimable;
alter index import_job_by_age rename to job_by_age;
