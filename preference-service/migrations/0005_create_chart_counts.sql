-- What charts of a day and of a week are counted from: of each film, how many users stand so with it
-- since this hour. Moved with every change of user_movie, in its transaction; whoever takes something
-- back takes it out of the hour in which they did it. Charts of all time are movie_stats'.
create table chart_count (
    movie_id bigint      not null,
    metric   text        not null,
    hour     timestamptz not null,
    count    bigint      not null,
    primary key (movie_id, metric, hour),
    constraint chart_count_metric_known check (metric in ('bookmarks', 'likes', 'watches'))
) with (fillfactor = 50);

insert into chart_count (movie_id, metric, hour, count)
select movie_id, metric, date_trunc('hour', at, 'UTC'), count(*)
from user_movie,
     lateral (values ('bookmarks', case when bookmarked then bookmarked_at end),
                     ('likes', case when reaction in ('like', 'superlike') then reacted_at end),
                     ('watches', completed_at)) as stands (metric, at)
where at > now() - interval '8 days'
group by 1, 2, 3;
