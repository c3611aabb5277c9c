-- During a rolling update, replicas of the previous release still read and write imports as `import_job`. A simple view
-- is updatable: locks, conflicts and defaults are those of the table. To be dropped in the release after this one.
create view import_job as
select user_id, id, status, dry_run, files, total, processed, succeeded, unchanged, unmatched, failed, skipped,
       unmatched_titles, failures, fetches_left, worker, lease_until, created_at, updated_at
from job;
