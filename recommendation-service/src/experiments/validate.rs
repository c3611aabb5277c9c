//! The validation of experiments as administrators draft them. Pure.

use chassis::problem::FieldError;
use recommender::experiments::thompson::Exploration;

use crate::{
    experiments::{Experiment, ExperimentDraft, Layer, Variant},
    rules::store::{NAME_RULE, check_weights, is_name},
};

const LONGEST_WINDOW_HOURS: i64 = 2160;
const MOST_PLANNED_USERS: i32 = 100_000_000;
const MOST_VARIANTS: usize = 10;
const MOST_CAP: i32 = 100;
const LONGEST_DESCRIPTION: usize = 1000;
/// Of a variant, a hundredth of a per cent of the users is the least that anything is learned from.
const LEAST_SHARE: f64 = 0.0001;
const VARIANT_WEIGHTS: std::ops::RangeInclusive<f64> = 0.001..=1000.0;
const BLEND_WEIGHTS: std::ops::RangeInclusive<f64> = 0.0..=10.0;
/// What a blend is made of.
const BLENDED: [&str; 4] = ["learned", "content", "taste", "rules"];

/// The first field of `draft` that differs from `running` though it must not change while that runs.
pub(super) fn changed_field(draft: &ExperimentDraft, running: &Experiment) -> Option<&'static str> {
    fn differs<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
        wanted.is_some_and(|wanted| wanted != is)
    }
    [
        ("layer", differs(draft.layer.as_ref(), &running.layer)),
        (
            "outcome_window_hours",
            differs(
                draft.outcome_window_hours.as_ref(),
                &running.outcome_window_hours,
            ),
        ),
        (
            "outcome_cap",
            differs(draft.outcome_cap.as_ref(), &running.outcome_cap),
        ),
        (
            "planned_users",
            differs(draft.planned_users.as_ref(), &running.planned_users),
        ),
        ("alpha", differs(draft.alpha.as_ref(), &running.alpha)),
        (
            "variants",
            differs(draft.variants.as_ref(), &running.variants),
        ),
    ]
    .into_iter()
    .find_map(|(field, differs)| differs.then_some(field))
}

/// The errors of `draft`, without those of its variants.
pub(super) fn check(draft: &ExperimentDraft) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, is_wrong: bool, message: String| {
        if is_wrong {
            errors.push(FieldError::new(field, message));
        }
    };
    refuse("name", !is_name(&draft.name), NAME_RULE.to_owned());
    let description = draft.description.as_deref().unwrap_or_default();
    refuse(
        "description",
        description.chars().count() > LONGEST_DESCRIPTION || description.contains('\0'),
        format!("must be at most {LONGEST_DESCRIPTION} characters without NUL"),
    );
    let outside = |value: Option<f64>, low: f64, high: f64| {
        value.is_some_and(|value| !(low..=high).contains(&value))
    };
    refuse(
        "traffic",
        outside(draft.traffic, 0.0, 1.0),
        "must be a number from 0 to 1".to_owned(),
    );
    refuse(
        "alpha",
        outside(draft.alpha, 0.0001, 0.2),
        "must be a number from 0.0001 to 0.2".to_owned(),
    );
    let hours = draft.outcome_window_hours;
    refuse(
        "outcome_window_hours",
        hours.is_some_and(|hours| !(1..=LONGEST_WINDOW_HOURS).contains(&hours)),
        format!("must be a whole number from 1 to {LONGEST_WINDOW_HOURS}"),
    );
    refuse(
        "outcome_cap",
        draft
            .outcome_cap
            .is_some_and(|cap| !(1..=MOST_CAP).contains(&cap)),
        format!("must be a whole number from 1 to {MOST_CAP}"),
    );
    let planned = draft.planned_users;
    refuse(
        "planned_users",
        planned.is_some_and(|users| !(10..=MOST_PLANNED_USERS).contains(&users)),
        format!("must be a whole number from 10 to {MOST_PLANNED_USERS}"),
    );
    errors
}

/// The errors of `variants` in `layer`.
pub(super) fn check_variants(variants: &[Variant], layer: Layer) -> Vec<FieldError> {
    if !(2..=MOST_VARIANTS).contains(&variants.len()) {
        let message = format!("must be 2 to {MOST_VARIANTS}, the control first");
        return vec![FieldError::new("variants", message)];
    }
    let mut errors = Vec::new();
    let total: f64 = variants.iter().map(|variant| variant.weight).sum();
    for (index, variant) in variants.iter().enumerate() {
        let field = |name: &str| format!("variants[{index}].{name}");
        let mut refuse = |name: &str, is_wrong: bool, message: &str| {
            if is_wrong {
                errors.push(FieldError::new(field(name), message));
            }
        };
        refuse("name", !is_name(&variant.name), NAME_RULE);
        let is_taken = variants[..index].iter().any(|one| one.name == variant.name);
        refuse("name", is_taken, "must be of one variant alone");
        let is_weight = VARIANT_WEIGHTS.contains(&variant.weight);
        refuse("weight", !is_weight, "must be a number from 0.001 to 1000");
        refuse(
            "weight",
            is_weight && variant.weight / total < LEAST_SHARE,
            "must be at least a ten-thousandth of all weights",
        );
        for (name, is_given, at_home) in [
            ("strategy", variant.strategy.is_some(), Layer::Ranking),
            (
                "model_version",
                variant.model_version.is_some(),
                Layer::Ranking,
            ),
            ("blend", variant.blend.is_some(), Layer::Ranking),
            ("rules", variant.rules.is_some(), Layer::Rules),
            (
                "exploration",
                variant.exploration.is_some(),
                Layer::Exploration,
            ),
        ] {
            let message = format!("is of the layer {}, not {}", at_home.name(), layer.name());
            refuse(name, is_given && at_home != layer, &message);
        }
        refuse(
            "model_version",
            variant.model_version.is_some_and(|version| version < 1),
            "must be a whole number from 1",
        );
        let exploration = variant.exploration;
        refuse(
            "exploration",
            exploration.is_some_and(|share| !(0.0..=Exploration::MAX_SHARE).contains(&share)),
            "must be a number from 0 to 0.5",
        );
        let is_blend = variant.blend.as_ref().is_none_or(|blend| {
            blend.iter().all(|(name, weight)| {
                BLENDED.contains(&name.as_str()) && BLEND_WEIGHTS.contains(weight)
            }) && BLENDED.iter().any(|name| blend.get(*name) != Some(&0.0))
        });
        refuse(
            "blend",
            !is_blend,
            "must be weights from 0 to 10 of learned, content, taste or rules, not all 0",
        );
        if let Some(weights) = variant.rules {
            errors.extend(check_weights(&field("rules"), weights));
        }
    }
    errors
}
