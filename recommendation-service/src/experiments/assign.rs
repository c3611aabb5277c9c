//! The assignment of users to variants, and what the variants of a user change. Pure: the same on every replica.

use std::collections::BTreeMap;

use recommender::experiments::assignment::{self, pick};

use crate::{
    experiments::{Experiment, Participation, Variant},
    ranking::{PartWeights, Strategy},
    read_model::UserId,
    rules::Weights,
};

/// The overrides from a user's active treatments; `None` keeps the default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    /// The experiments of the user, with the variant of each.
    pub participations: Vec<Participation>,
    /// The strategy.
    pub strategy: Option<Strategy>,
    /// The version of the learned model.
    pub model_version: Option<i64>,
    /// The weights of the parts of the blend by name.
    pub blend: Option<BTreeMap<String, f64>>,
    /// The weights of the rules.
    pub rules: Option<Weights>,
    /// The share of positions that explore, 0 to 0.5.
    pub exploration: Option<f64>,
}

impl Overrides {
    /// The weights of all parts of the blend; 1 for those that are not overridden.
    pub fn part_weights(&self) -> PartWeights {
        let default = PartWeights::default();
        let weight = |name: &str, default: f32| {
            let given = self.blend.as_ref().and_then(|blend| blend.get(name));
            given.map_or(default, |weight| *weight as f32)
        };
        PartWeights {
            learned: weight("learned", default.learned),
            content: weight("content", default.content),
            taste: weight("taste", default.taste),
            rules: weight("rules", default.rules),
        }
    }

    fn apply(&mut self, variant: &Variant) {
        self.strategy = variant.strategy.or(self.strategy);
        self.model_version = variant.model_version.or(self.model_version);
        self.blend = variant.blend.clone().or(self.blend.take());
        self.rules = variant.rules.or(self.rules);
        self.exploration = variant.exploration.or(self.exploration);
    }
}

/// The overrides of `user` by the `running` experiments. The same every time, on every replica, while these run; a
/// user who takes part keeps doing so when the share of traffic grows.
pub fn assign(running: &[Experiment], user: UserId) -> Overrides {
    let mut overrides = Overrides::default();
    for experiment in running {
        let assigned = assignment::assign(&experiment.salt, user.get());
        if assigned.entry >= experiment.traffic {
            continue;
        }
        let picked = pick(&experiment.weights(), assigned.position);
        let Some((index, variant)) =
            picked.and_then(|(index, _)| Some((index, experiment.variants.get(index)?)))
        else {
            continue;
        };
        overrides.apply(variant);
        overrides.participations.push(Participation {
            experiment_id: experiment.id,
            experiment: experiment.name.clone(),
            variant: index,
            variant_name: variant.name.clone(),
            layer: experiment.layer,
            outcome_window_hours: experiment.outcome_window_hours,
        });
    }
    overrides
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::{prelude::prop, prop_assert, proptest};

    use super::*;
    use crate::experiments::{Layer, Status};

    fn variant(name: &str, weight: f64) -> Variant {
        Variant {
            name: name.to_owned(),
            weight,
            strategy: None,
            model_version: None,
            blend: None,
            rules: None,
            exploration: None,
        }
    }

    fn experiment(layer: Layer, salt: &str, traffic: f64, variants: Vec<Variant>) -> Experiment {
        Experiment {
            id: 1,
            name: layer.name().to_owned(),
            description: String::new(),
            status: Status::Running,
            layer,
            traffic,
            outcome_window_hours: 1,
            outcome_cap: 1,
            planned_users: 100,
            alpha: 0.05,
            variants: sqlx::types::Json(variants),
            created_by: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            stopped_at: None,
            salt: salt.to_owned(),
        }
    }

    fn user(id: i64) -> UserId {
        UserId::new(id).expect("positive")
    }

    proptest! {
        #[test]
        fn growing_traffic_adds_users_and_keeps_their_variants(
            salt in "[a-z]{1,8}", steps in prop::collection::vec(0.0..=1.0_f64, 1..6), id in 1..1_000_000_i64,
        ) {
            let variants = vec![variant("a", 1.0), variant("b", 2.0)];
            let mut steps = steps;
            steps.sort_by(f64::total_cmp);
            let mut before: Option<usize> = None;
            for traffic in steps {
                let running = [experiment(Layer::Ranking, &salt, traffic, variants.clone())];
                let now = assign(&running, user(id)).participations.first().map(|part| part.variant);
                prop_assert!(before.is_none() || now == before);
                before = now;
            }
        }
    }

    #[test]
    fn traffic_and_weights_are_shares_of_the_users() {
        let variants = vec![variant("a", 1.0), variant("b", 3.0)];
        let running = [experiment(Layer::Ranking, "salt", 0.4, variants)];
        let mut counts = [0; 2];
        for id in 1..=10_000 {
            if let Some(part) = assign(&running, user(id)).participations.first() {
                counts[part.variant] += 1;
            }
        }
        // Four standard deviations either way.
        assert!((880..1120).contains(&counts[0]), "{counts:?}");
        assert!((2815..3185).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn each_layer_overrides_its_own_settings() {
        let weights = Weights {
            popularity: 1.0,
            ..Weights::default()
        };
        let ranking = Variant {
            strategy: Some(Strategy::Rules),
            blend: Some(BTreeMap::from([("taste".to_owned(), 0.5)])),
            ..variant("b", 1.0)
        };
        let rules = Variant {
            rules: Some(weights),
            ..variant("b", 1.0)
        };
        let running = [
            experiment(Layer::Ranking, "one", 1.0, vec![ranking]),
            experiment(Layer::Rules, "two", 1.0, vec![rules]),
        ];
        let both = assign(&running, user(7));
        assert_eq!(both.participations.len(), 2);
        assert_eq!(
            (both.strategy, both.rules),
            (Some(Strategy::Rules), Some(weights))
        );
        let parts = both.part_weights();
        assert_eq!((parts.taste, parts.learned), (0.5, 1.0));
    }
}
