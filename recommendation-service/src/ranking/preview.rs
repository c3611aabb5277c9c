//! Previews: the list of a hypothetical user, and the list that other rules would give. Nothing is stored.

use std::sync::Arc;

use chassis::language::Language;
use filter::Filter;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    ranking::{
        PartWeights, RecommendError, Strategy,
        pipeline::RankingRequest,
        recommender::{Page, Recommender},
    },
    read_model::{Preferences, Profile, Reaction, UserId},
    rules::Weights,
};

/// The preferences of the hypothetical user; what is not given stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewPreferences)]
pub struct PreferenceChanges {
    /// Names of preferred genres.
    #[schema(max_items = 50)]
    pub preferred_genres: Option<Vec<String>>,
    /// The only language of movies, such as `ko` or `ko-KR`.
    #[schema(pattern = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$", max_length = 35)]
    pub preferred_language: Option<String>,
    /// The lowest vote average of movies, 0 to 10.
    #[schema(minimum = 0, maximum = 10)]
    pub min_rating: Option<f64>,
}

impl RankingRequest {
    /// The request of a preview: no filter, nothing seen or judged, and no treatment.
    pub fn preview(strategy: Strategy, diversity: f32, limit: usize) -> Self {
        Self {
            strategy,
            filter: Filter::default(),
            exclude_seen: true,
            diversity,
            limit,
            has_chosen_strategy: true,
            parameters: String::new(),
        }
    }
}

impl Recommender {
    /// The profile of a hypothetical user: that of `user`, or one without any history, with these reactions to movies
    /// by TMDB's ids, and changes of the preferences.
    ///
    /// # Errors
    /// [`RecommendError::UserNotFound`] if there is no such user to start from, [`RecommendError::Upstream`] if
    /// preference-service cannot be reached.
    pub async fn hypothetical_profile(
        &self,
        user: Option<UserId>,
        reactions: [(Reaction, Vec<i64>); 2],
        changes: PreferenceChanges,
    ) -> Result<Arc<Profile>, RecommendError> {
        let mut profile = match user {
            Some(id) => Arc::unwrap_or_clone(self.profile(id).await?),
            None => Profile::new(Preferences::default()),
        };
        let now = self.now();
        for (reaction, ids) in reactions {
            for id in ids {
                profile = profile.with_hypothetical(id, |state| {
                    state.reaction = Some(reaction);
                    state.reacted_at = Some(now);
                });
            }
        }
        let profile = profile.with_hypothetical_preferences(|preferences| {
            if let Some(genres) = changes.preferred_genres {
                preferences.preferred_genres = genres;
            }
            if let Some(language) = changes.preferred_language {
                let language = Language::parse(&language);
                preferences.preferred_language =
                    language.map(|language| language.primary().to_owned());
            }
            if let Some(min_rating) = changes.min_rating {
                preferences.min_rating = min_rating;
            }
        });
        Ok(Arc::new(profile))
    }

    /// The list of user `id` by rules with these `weights`, and for each movie its position, from 1, in the list of the
    /// same length by the rules in force.
    #[tracing::instrument(
        name = "service.recommender.preview_rules",
        level = "debug",
        skip(self, weights),
        err(level = "debug")
    )]
    pub async fn preview_rules(
        &self,
        id: UserId,
        weights: Weights,
        limit: usize,
    ) -> Result<(Page, Vec<Option<usize>>), RecommendError> {
        let profile = self.profile(id).await?;
        let list = |weights| {
            let request = RankingRequest::preview(Strategy::Rules, 0.0, limit);
            self.preview(
                Arc::clone(&profile),
                weights,
                PartWeights::default(),
                request,
            )
        };
        let present = list(None).await?;
        let preview = list(Some(weights)).await?;
        let movie = |page: &Page, place: &usize| page.list.films[*place].id;
        let position_of = |id: i64| {
            let mut places = present.places.iter();
            places.position(|place| movie(&present, place) == id)
        };
        let positions = preview
            .places
            .iter()
            .map(|place| position_of(movie(&preview, place)).map(|index| index + 1))
            .collect();
        Ok((preview, positions))
    }
}
