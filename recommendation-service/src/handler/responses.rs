//! The problem responses of this service, as its OpenAPI document lists them.

chassis::problem_responses! {
    /// 404: no user has the id.
    pub(super) UserNotFound = 404, "no user has this id; for a group `errors` names them";
    /// 404: no movie has the id.
    pub(super) MovieNotFound = 404, "no movie has this id";
    /// 404: there is no such list, or the caller may not see it.
    pub(super) ListNotFound = 404, "there is no such list that the caller may see";
    /// 404: no experiment has the id or name.
    pub(super) ExperimentNotFound = 404, "there is no such experiment";
    /// 404: no model version has the number.
    pub(super) ModelNotFound = 404, "no version has this number";
    /// 403: the request names users who share no group with the caller.
    pub(super) NoSharedGroup = 403, "the caller names users with whom they share no group, whether or not they exist";
    /// 403: the caller is not the user whose data the request names.
    pub(super) NotThatUser = 403, "the caller is neither that user nor an administrator";
    /// 409: the strategy needs a model that is not live.
    pub(super) NotTrained = 409, "the strategy needs a learned model, and none is live";
    /// 409: the model version cannot be loaded.
    pub(super) ModelUnusable = 409, "the version is damaged";
    /// 409: the experiment cannot be created or changed.
    pub(super) ExperimentConflict = 409, "another runs in the layer, or a field cannot change while it runs";
    /// 409: another version of the rules is in force.
    pub(super) RulesOutdated = 409, "`version` is not in force";
    /// 412: another version of the rules is in force.
    pub(super) RulesNotMatched = 412, "the version in `If-Match` is not in force";
}
