//! The validation of experiments as administrators draft them. Pure.

use std::ops::RangeInclusive;

use chassis::validate::{FieldError, Validator};
use recommender::experiments::thompson::Exploration;

use crate::{
    experiments::{Experiment, ExperimentDraft, Layer, Variant},
    rules::store::{NAME_RULE, check_weights, is_name},
};

const MAX_WINDOW_HOURS: i64 = 2160;
const MAX_PLANNED_USERS: i64 = 100_000_000;
const MAX_VARIANTS: usize = 10;
const MAX_OUTCOME_CAP: i64 = 100;
const MAX_DESCRIPTION_LENGTH: usize = 1000;
/// The lowest share of users of a variant: below it nothing can be learned.
const MIN_SHARE: f64 = 0.0001;
const VARIANT_WEIGHTS: RangeInclusive<f64> = 0.001..=1000.0;
const BLEND_WEIGHTS: RangeInclusive<f64> = 0.0..=10.0;
/// The parts of the blend.
const BLEND_PARTS: [&str; 4] = ["learned", "content", "taste", "rules"];

/// The first field of `draft` that differs from `running` though it must not change while that runs.
pub(super) fn changed_field(draft: &ExperimentDraft, running: &Experiment) -> Option<&'static str> {
    fn differs<T: PartialEq>(new: Option<&T>, old: &T) -> bool {
        new.is_some_and(|new| new != old)
    }
    let (old, new) = (running, draft);
    let window = differs(new.outcome_window_hours.as_ref(), &old.outcome_window_hours);
    let planned = differs(new.planned_users.as_ref(), &old.planned_users);
    [
        ("layer", differs(new.layer.as_ref(), &old.layer)),
        ("outcome_window_hours", window),
        (
            "outcome_cap",
            differs(new.outcome_cap.as_ref(), &old.outcome_cap),
        ),
        ("planned_users", planned),
        ("alpha", differs(new.alpha.as_ref(), &old.alpha)),
        ("variants", differs(new.variants.as_ref(), &old.variants)),
    ]
    .into_iter()
    .find_map(|(field, differs)| differs.then_some(field))
}

/// The errors of `draft`, without those of its variants.
pub(super) fn check(draft: &ExperimentDraft) -> Result<(), Vec<FieldError>> {
    let mut check = Validator::default();
    check.require(is_name(&draft.name), "name", NAME_RULE);
    let description = draft.description.as_deref().unwrap_or_default();
    check.require(
        description.chars().count() <= MAX_DESCRIPTION_LENGTH && !description.contains('\0'),
        "description",
        format!("must be at most {MAX_DESCRIPTION_LENGTH} characters without NUL"),
    );
    check.number("traffic", draft.traffic, 0.0..=1.0);
    check.number("alpha", draft.alpha, 0.0001..=0.2);
    let mut integer = |field: &str, value: Option<i64>, range: RangeInclusive<i64>| {
        check.require(
            value.is_none_or(|value| range.contains(&value)),
            field,
            format!(
                "must be a whole number from {} to {}",
                range.start(),
                range.end()
            ),
        );
    };
    let hours = draft.outcome_window_hours;
    integer("outcome_window_hours", hours, 1..=MAX_WINDOW_HOURS);
    integer(
        "outcome_cap",
        draft.outcome_cap.map(i64::from),
        1..=MAX_OUTCOME_CAP,
    );
    let planned = draft.planned_users.map(i64::from);
    integer("planned_users", planned, 10..=MAX_PLANNED_USERS);
    check.finish(())
}

/// The errors of `variants` in `layer`.
pub(super) fn check_variants(variants: &[Variant], layer: Layer) -> Result<(), Vec<FieldError>> {
    use Layer::{Exploration as Exploring, Ranking, Rules};
    let mut check = Validator::default();
    if !(2..=MAX_VARIANTS).contains(&variants.len()) {
        let message = format!("must be 2 to {MAX_VARIANTS}, the control first");
        check.error("variants", message);
        return check.finish(());
    }
    let total: f64 = variants.iter().map(|variant| variant.weight).sum();
    for (index, variant) in variants.iter().enumerate() {
        let field = |name: &str| format!("variants[{index}].{name}");
        check.require(is_name(&variant.name), field("name"), NAME_RULE);
        let is_taken = variants[..index].iter().any(|one| one.name == variant.name);
        check.require(!is_taken, field("name"), "must be of one variant alone");
        let weight = check.number(&field("weight"), Some(variant.weight), VARIANT_WEIGHTS);
        check.require(
            weight.is_none_or(|weight| weight / total >= MIN_SHARE),
            field("weight"),
            "must be at least a ten-thousandth of all weights",
        );
        for (name, is_given, own) in [
            ("strategy", variant.strategy.is_some(), Ranking),
            ("model_version", variant.model_version.is_some(), Ranking),
            ("blend", variant.blend.is_some(), Ranking),
            ("rules", variant.rules.is_some(), Rules),
            ("exploration", variant.exploration.is_some(), Exploring),
        ] {
            let message = format!("is of the layer {}, not {}", own.name(), layer.name());
            check.require(!is_given || own == layer, field(name), message);
        }
        check.require(
            variant.model_version.is_none_or(|version| version >= 1),
            field("model_version"),
            "must be a whole number from 1",
        );
        let shares = 0.0..=Exploration::MAX_SHARE;
        check.number(&field("exploration"), variant.exploration, shares);
        let is_blend = variant.blend.as_ref().is_none_or(|blend| {
            blend.iter().all(|(name, weight)| {
                BLEND_PARTS.contains(&name.as_str()) && BLEND_WEIGHTS.contains(weight)
            }) && BLEND_PARTS
                .iter()
                .any(|name| blend.get(*name) != Some(&0.0))
        });
        check.require(
            is_blend,
            field("blend"),
            "must be weights from 0 to 10 of learned, content, taste or rules, not all 0",
        );
        if let Some(weights) = variant.rules {
            check_weights(&mut check, &field("rules"), weights);
        }
    }
    check.finish(())
}
