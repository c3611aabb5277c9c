-- Every set of rules that was ever put, numbered without gaps, so that one that did better can be put
-- again. What the last one says stands in `rule` as well, which lists are made by.
create table rule_set (
    version    bigint primary key,
    rules      jsonb not null,
    note       text not null,
    -- Who put it, as the gateway tells it; null where it tells of nobody.
    created_by text,
    created_at timestamptz not null
);
insert into rule_set (version, rules, note, created_at)
select 1, coalesce(jsonb_agg(jsonb_build_object('name', name, 'rule_type', rule_type,
           'weight', weight, 'is_active', is_active) order by rule_type), '[]'),
       'as the service began', coalesce(max(created_at), now())
from rule;
