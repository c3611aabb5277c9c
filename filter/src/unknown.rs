//! Values of a filter that no stored movie has, as errors that name the nearest. Services call it before they select, so
//! that a typing error is never an empty list.

use chassis::validate::FieldError;

use crate::{
    AllOf, Filter, FilterIndex, GenreNames, Term,
    facets::{FacetKind, code, code_text},
    fold,
    nearest::{Nearest, did_you_mean},
};

/// The values of a request for which the nearest names are searched: a bound on its work.
const MAX_SEARCHES: usize = 3;
/// The codes that a message about an unknown one names.
const MAX_CODES: usize = 8;

/// Codes that are written for others, most of them those of a country for its language or the reverse.
const CONFUSED: &[(FacetKind, &str, &str)] = &[
    (FacetKind::Language, "kr", "ko"),
    (FacetKind::Language, "jp", "ja"),
    (FacetKind::Language, "cn", "zh"),
    (FacetKind::Language, "zh", "cn"),
    (FacetKind::Language, "us", "en"),
    (FacetKind::Language, "gb", "en"),
    (FacetKind::Language, "uk", "en"),
    (FacetKind::Language, "dk", "da"),
    (FacetKind::Language, "se", "sv"),
    (FacetKind::Language, "gr", "el"),
    (FacetKind::Language, "cz", "cs"),
    (FacetKind::Language, "br", "pt"),
    (FacetKind::Language, "in", "hi"),
    (FacetKind::Country, "UK", "GB"),
    (FacetKind::Country, "EN", "GB"),
    (FacetKind::Country, "KO", "KR"),
    (FacetKind::Country, "JA", "JP"),
    (FacetKind::Country, "ZH", "CN"),
    (FacetKind::Country, "DA", "DK"),
    (FacetKind::Country, "SV", "SE"),
    (FacetKind::Country, "HI", "IN"),
];

/// The codes of ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de \
    dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it \
    iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd \
    ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su \
    sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";
/// The codes of ISO 3166-1.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ \
    FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP \
    MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE \
    RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

impl FilterIndex {
    /// Reports the values of `filter` that no stored movie has: genres by `genres`, which has those of TMDB that no movie
    /// has as well, and all others by the index. Of an empty index only genres are reported.
    pub fn check(&self, filter: &Filter, genres: &GenreNames) -> Vec<FieldError> {
        let mut errors = genres.check(filter);
        if self.live().is_empty() {
            return errors;
        }
        let mut searches = MAX_SEARCHES;
        let lists: [(&str, FacetKind, &AllOf); 5] = [
            ("keywords", FacetKind::Keyword, &filter.keywords),
            ("people", FacetKind::Person, &filter.people),
            (
                filter.language_parameter,
                FacetKind::Language,
                &filter.language,
            ),
            ("country", FacetKind::Country, &filter.country),
            ("providers", FacetKind::Provider, &filter.providers),
        ];
        let groups = lists
            .into_iter()
            .flat_map(|(field, kind, all)| all.iter().map(move |any| (field, kind, any)));
        for (field, kind, any) in groups {
            let is_one_stored = any.iter().any(|term| self.is_stored(kind, term));
            for term in any {
                let is_beside = is_one_stored && is_standard(kind, term);
                if !is_beside && !self.is_stored(kind, term) {
                    let message = self.unknown(kind, term, &mut searches);
                    errors.push(FieldError::new(field, message));
                }
            }
        }
        if !filter.providers.is_empty()
            && let Some(region) = &filter.region
            && errors.iter().all(|error| error.field != "providers")
        {
            errors.extend(self.check_region(filter, region));
        }
        errors
    }

    /// True if a stored movie has what `term` means. A provider is known if it has or had a movie in any region, and a
    /// country by its code if the catalogue has none.
    fn is_stored(&self, kind: FacetKind, term: &Term) -> bool {
        if kind == FacetKind::Country && self.facets().of_kind(kind).next().is_none() {
            return is_standard(kind, term);
        }
        let mut facets = self.facets_of(kind, term, "").into_iter();
        facets.any(|facet| match kind {
            FacetKind::Provider => self.facets().is_named(facet),
            _ => self.facets().count(facet) > 0,
        })
    }

    /// The message about `term`, which no movie has.
    fn unknown(&self, kind: FacetKind, term: &Term, searches: &mut usize) -> String {
        let (noun, value) = match (kind, term) {
            (FacetKind::Keyword, _) => ("keyword", term),
            (FacetKind::Person, _) => ("person", term),
            (FacetKind::Language, _) => ("original language", term),
            (FacetKind::Country, _) => ("country", term),
            _ => ("watch provider", term),
        };
        let name = match value {
            Term::Id(id) => {
                return format!("no movie of the catalogue has the {noun} with the id {id}");
            }
            Term::Name(name) => name,
        };
        let begin = format!("no movie of the catalogue has the {noun} `{name}`");
        if matches!(kind, FacetKind::Language | FacetKind::Country) {
            return format!("{begin}; {}", self.known_codes(kind, name));
        }
        if *searches == 0 {
            return begin;
        }
        *searches -= 1;
        match self.nearest(kind, name)[..] {
            [] => begin,
            ref near => format!("{begin}; {}", did_you_mean(near)),
        }
    }

    /// The names of `kind` that are nearest to `name`, those of more movies first.
    fn nearest(&self, kind: FacetKind, name: &str) -> Vec<&str> {
        let facets = self.facets();
        let is_stored = |facet| kind == FacetKind::Provider || facets.count(facet) > 0;
        let names = facets.names().filter(|((other, _), _)| *other == kind);
        let names: Vec<(String, u64)> = names
            .filter(|(facet, _)| is_stored(*facet))
            .map(|((_, id), name)| (fold(name), id))
            .collect();
        let folded = fold(name);
        let near = Nearest::new(&folded).of(names.iter().map(|(name, id)| (name.as_str(), *id)));
        near.into_iter()
            .filter_map(|id| facets.name_of((kind, id), ""))
            .collect()
    }

    /// The code that is probably meant by `name`, or the most frequent ones.
    fn known_codes(&self, kind: FacetKind, name: &str) -> String {
        let is_empty = self.facets().of_kind(kind).next().is_none();
        let meant = CONFUSED.iter().find_map(|(of, wrong, right)| {
            let is_meant = *of == kind && *wrong == name;
            let count = self.facets().count((kind, code(right)?));
            (is_meant && (is_empty || count > 0)).then_some(*right)
        });
        if let Some(meant) = meant {
            return did_you_mean(&[meant]);
        }
        if is_empty {
            return "the codes are those of ISO 3166-1".to_owned();
        }
        let mut codes: Vec<(u64, usize)> = self.facets().of_kind(kind).collect();
        codes.sort_unstable_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        let codes: Vec<String> = codes
            .into_iter()
            .take(MAX_CODES)
            .map(|(code, _)| format!("`{}`", code_text(code)))
            .collect();
        format!("most have {}", codes.join(", "))
    }

    /// Reports `region` if no movie has a watch provider in it.
    fn check_region(&self, filter: &Filter, region: &str) -> Option<FieldError> {
        let mut offers = filter.providers.iter().flatten();
        let has_offer = |term| {
            let mut offers = self.facets_of(FacetKind::Offer, term, region).into_iter();
            offers.any(|offer| self.facets().count(offer) > 0)
        };
        if offers.any(has_offer) {
            return None;
        }
        let regions = self.facets().of_kind(FacetKind::Offer);
        let mut regions: Vec<u64> = regions.map(|(offer, _)| offer >> 32).collect();
        if regions.iter().any(|known| Some(*known) == code(region)) {
            return None;
        }
        regions.sort_unstable();
        regions.dedup();
        let regions: Vec<String> = regions
            .into_iter()
            .take(MAX_CODES)
            .map(|code| format!("`{}`", code_text(code)))
            .collect();
        let message = format!(
            "no movie of the catalogue has a watch provider in `{region}`; known are {}",
            regions.join(", ")
        );
        Some(FieldError::new("region", message))
    }
}

/// True for the code of a language or country that exists, which may be given beside those that movies have.
fn is_standard(kind: FacetKind, term: &Term) -> bool {
    let codes = match kind {
        FacetKind::Language => LANGUAGES,
        FacetKind::Country => COUNTRIES,
        _ => return false,
    };
    let is_code = |name: &String| codes.split_whitespace().any(|code| code == name);
    matches!(term, Term::Name(name) if is_code(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FilterParams, MovieAttributes};

    fn stored() -> FilterIndex {
        let mut films = FilterIndex::default();
        let facts = MovieAttributes {
            language: "ko",
            countries: vec!["GB".to_owned()].into(),
            keywords: vec![(5, "Time travel".into())],
            people: vec![(6, "Christopher Nolan".into())],
            providers: vec![("KR".into(), (8, "Netflix".into()))],
            ..MovieAttributes::default()
        };
        films.upsert(0, &facts);
        let removed = MovieAttributes {
            people: vec![(7, "Somebody Else".into())],
            ..MovieAttributes::default()
        };
        films.upsert(1, &removed);
        films.remove(1);
        films
    }

    fn errors(index: &FilterIndex, query: &[(&str, &str)]) -> Vec<(String, String)> {
        let object = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()));
        let object = serde_json::Value::Object(object.collect());
        let params: FilterParams = serde_json::from_value(object).expect("parameters");
        let mut errors = Vec::new();
        let filter = Filter::parse(&params, &mut errors);
        errors.extend(index.check(&filter, &GenreNames::default()));
        errors
            .into_iter()
            .map(|error| (error.field, error.message))
            .collect()
    }

    #[test]
    fn values_that_no_movie_has_are_named_with_the_nearest() {
        let index = stored();
        for (field, value, end) in [
            (
                "keywords",
                "time travle",
                "keyword `time travle`; did you mean `Time travel`?",
            ),
            ("keywords", "time travel|heist", "keyword `heist`"),
            ("keywords", "99", "keyword with the id 99"),
            (
                "people",
                "Nolan",
                "person `Nolan`; did you mean `Christopher Nolan`?",
            ),
            (
                "people",
                "Cristopher Nolen",
                "did you mean `Christopher Nolan`?",
            ),
            ("people", "Somebody Else", "person `Somebody Else`"),
            ("people", "7", "person with the id 7"),
            (
                "language",
                "kr",
                "original language `kr`; did you mean `ko`?",
            ),
            (
                "original_language",
                "fr",
                "original language `fr`; most have `ko`",
            ),
            ("country", "uk", "country `UK`; did you mean `GB`?"),
        ] {
            let found = errors(&index, &[(field, value)]);
            assert_eq!(found.len(), 1, "{field}={value}: {found:?}");
            assert_eq!(found[0].0, field);
            assert!(found[0].1.ends_with(end), "{}", found[0].1);
        }
        for (providers, region, field) in [
            ("Netflx", "KR", "providers"),
            ("9", "KR", "providers"),
            ("8", "US", "region"),
        ] {
            let found = errors(&index, &[("providers", providers), ("region", region)]);
            assert_eq!(found[0].0, field, "{found:?}");
        }
    }

    #[test]
    fn known_values_pass_and_so_does_everything_while_nothing_is_stored() {
        let query = [
            ("keywords", "TIME TRAVEL"),
            ("people", "6,christopher nolan"),
            ("language", "ko|ja"),
            ("country", "gb|us"),
            ("providers", "netflix|8"),
            ("region", "kr"),
        ];
        assert_eq!(errors(&stored(), &query), []);
        let query = [
            ("keywords", "heist"),
            ("language", "fr"),
            ("providers", "1"),
            ("region", "US"),
        ];
        assert_eq!(errors(&FilterIndex::default(), &query), []);
        // A catalogue whose movies have no countries.
        let mut films = FilterIndex::default();
        films.upsert(0, &MovieAttributes::default());
        assert_eq!(errors(&films, &[("country", "KR")]), []);
        for (country, end) in [("ZZ", "those of ISO 3166-1"), ("UK", "did you mean `GB`?")] {
            let found = errors(&films, &[("country", country)]);
            assert!(found[0].1.ends_with(end), "{found:?}");
        }
    }
}
