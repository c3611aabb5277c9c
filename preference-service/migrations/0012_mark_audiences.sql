-- Users of a published set of ratings, loaded to try the product out: marked by the set and their id in it, so that one
-- command removes them all. Null for everybody who signed up.
alter table user_account
    add column audience_source text,
    add column audience_member text,
    add constraint audience_member_once unique (audience_source, audience_member),
    add constraint audience_is_whole check ((audience_source is null) = (audience_member is null));
