-- Base models, which were fitted to a published set, beside models of own users: versions of both kinds in one table, and
-- one live version of each.
alter table model_version
    add column kind text not null default 'own',
    add constraint model_version_kind_known check (kind in ('own', 'base'));
alter table model_live
    add column base_version bigint references model_version;
