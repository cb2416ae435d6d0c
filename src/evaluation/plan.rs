//! A plan: activation and range of single sites, or of all that a name pattern matches, from a TOML file.
//!
//! ```toml
//! [[sites]]
//! match = "layer1.*"              # a name with * and ?, or the index of a site
//! activation = "minimax:15,27,29"
//! range = 12.5
//! ```
//!
//! A rule says an activation, a range, or both. Later rules count over earlier ones, and all of them over the settings
//! that hold for all sites.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::source::{Source, Sourced};
use crate::activation::{RangeError, Spec};
use crate::bounded;
use crate::digest;
use crate::model::Site;

/// What stands in at which sites, and on which ranges, beside what holds for all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Later ones count over earlier ones.
    #[serde(rename = "sites")]
    pub rules: Vec<Rule>,
}

/// What one `[[sites]]` of a plan says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which sites.
    #[serde(rename = "match")]
    pub sites: Selector,
    /// What stands in there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "spec")]
    pub activation: Option<Spec>,
    /// The bound B of the inputs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<f64>,
}

/// Which sites a rule is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Selector {
    Index(usize),
    /// A name in which * stands for any characters and ? for one.
    Name(String),
}

/// What a plan says of one site.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    pub activation: Option<Spec>,
    pub range: Option<f64>,
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("plan {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("plan {path}: {reason}")]
    Content { path: PathBuf, reason: String },
    #[error("{plan}: no site matches `{selector}`; {hint}")]
    Unmatched { plan: String, selector: String, hint: String },
}

impl Plan {
    /// Read the plan at `path`.
    ///
    /// # Errors
    /// [`PlanError`]: unreadable, no TOML, unknown keys, activations or ranges that are none.
    pub fn read(path: &Path) -> Result<Sourced<Plan>, PlanError> {
        let read = bounded::read(path, bounded::TEXT);
        let bytes = read.map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
        let content = |reason: String| PlanError::Content { path: path.to_owned(), reason };
        let text = bounded::text(&bytes).map_err(|_| content("it is not UTF-8 text".to_owned()))?;
        let source = Source { path: path.to_owned(), sha256: digest::of_text(&bytes) };
        Ok(Sourced { value: Plan::parse(text).map_err(content)?, source: Some(source) })
    }

    /// The plan that `text`, in TOML, says.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let plan: Plan = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        for rule in &plan.rules {
            if rule.activation.is_none() && rule.range.is_none() {
                return Err(format!("the rule for `{}` says neither activation nor range", rule.sites));
            }
            if let Some(range) = rule.range
                && !(range.is_normal() && range > 0.0)
            {
                return Err(format!("the rule for `{}`: {}", rule.sites, RangeError(range.to_string())));
            }
        }
        Ok(plan)
    }

    /// In TOML, as [`Plan::parse`] reads it.
    pub fn text(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

impl Sourced<Plan> {
    /// What the plan says of each of `sites`.
    ///
    /// # Errors
    /// [`PlanError::Unmatched`] for a rule that is about no site, with the nearest name.
    pub fn of(&self, sites: &[Site]) -> Result<Vec<Said>, PlanError> {
        let mut said = vec![Said::default(); sites.len()];
        for rule in &self.value.rules {
            let mut matched = false;
            for (_, said) in sites.iter().zip(&mut said).filter(|(site, _)| rule.sites.matches(site)) {
                matched = true;
                if rule.activation.is_some() {
                    said.activation.clone_from(&rule.activation);
                }
                said.range = rule.range.or(said.range);
            }
            if !matched {
                let (plan, selector) = (self.called("plan"), rule.sites.to_string());
                return Err(PlanError::Unmatched { plan, hint: rule.sites.hint(sites), selector });
            }
        }
        Ok(said)
    }
}

/// As result rows name it: by its file, or by the digest of its text.
impl std::fmt::Display for Sourced<Plan> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            Some(source) => source.fmt(f),
            None => write!(f, "plan#{}", &digest::of_text(self.value.text().as_bytes())[..8]),
        }
    }
}

impl Selector {
    fn matches(&self, site: &Site) -> bool {
        match self {
            Selector::Index(index) => site.index == *index,
            Selector::Name(pattern) => WildMatch::new(pattern).matches(&site.name),
        }
    }

    /// What else may have been meant.
    fn hint(&self, sites: &[Site]) -> String {
        match self {
            Selector::Index(_) => format!("sites are numbered from 0 to {}", sites.len().saturating_sub(1)),
            Selector::Name(pattern) => {
                let near = |site: &&Site| (strsim::jaro_winkler(pattern, &site.name) * 1e6) as u64;
                let nearest = sites.iter().max_by_key(near).map_or("", |site| &site.name);
                format!("did you mean `{nearest}`? `polyact inspect` lists the names")
            }
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Selector::Index(index) => write!(f, "{index}"),
            Selector::Name(pattern) => f.write_str(pattern),
        }
    }
}

/// An activation in its text form.
mod spec {
    use super::Spec;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(spec: &Option<Spec>, serializer: S) -> Result<S::Ok, S::Error> {
        spec.as_ref().map(Spec::to_string).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Spec>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SiteKind;
    use proptest::prelude::*;

    fn sites() -> Vec<Site> {
        let names = ["conv1.relu", "layer1.0.relu", "layer1.0.relu#2", "pool"];
        let site = |(index, name): (usize, &&str)| Site {
            index,
            name: (*name).to_owned(),
            kind: SiteKind::relu(),
            image_axis: Some(0),
            non_negative: false,
        };
        names.iter().enumerate().map(site).collect()
    }

    fn plan(text: &str) -> Sourced<Plan> {
        Plan::parse(text).unwrap().into()
    }

    #[test]
    fn later_rules_count_over_earlier_ones_and_keep_what_they_do_not_say() {
        let plan = plan(
            "[[sites]]\nmatch = 'layer1.*'\nactivation = 'paper:14'\nrange = 8\n\
             [[sites]]\nmatch = 2\nactivation = 'exact'\n[[sites]]\nmatch = 'conv?.relu'\nrange = 3.5\n",
        );
        let said = plan.of(&sites()).unwrap();
        let paper = Some(Spec::Paper { alpha: 14 });
        let expected = [(None, Some(3.5)), (paper, Some(8.0)), (Some(Spec::Exact), Some(8.0)), (None, None)];
        assert_eq!(said, expected.map(|(activation, range)| Said { activation, range }));
    }

    #[test]
    fn a_rule_for_no_site_names_the_nearest() {
        let error = plan("[[sites]]\nmatch = 'layer1.0.rellu'\nrange = 1\n").of(&sites()).unwrap_err().to_string();
        assert!(error.contains("did you mean `layer1.0.relu`"), "{error}");
        let error = plan("[[sites]]\nmatch = 9\nrange = 1\n").of(&sites()).unwrap_err().to_string();
        assert!(error.contains("from 0 to 3"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let error = |text: &str| Plan::parse(text).unwrap_err();
        assert!(error("[[sites]]\nmatch = 'a'\nactivation = 'tanh'\n").contains("`tanh` is no activation"));
        assert!(error("[[sites]]\nmatch = 'a'\nrange = 0\n").contains("`0` is no range"));
        assert!(error("[[sites]]\nmatch = 'a'\n").contains("neither activation nor range"));
        assert!(error("[[sites]]\nmatch = 'a'\nrnge = 1\n").contains("rnge"));
        assert!(error("[[sites]]\nmatch = \n").contains("line 2"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let rule = |sites, activation, range| Rule { sites, activation, range };
        let rules = vec![
            rule(Selector::Name("layer1.0.relu#2".into()), None, Some(0.1)),
            rule(Selector::Index(3), Some(Spec::Paper { alpha: 9 }), None),
        ];
        let plan = Plan { rules };
        assert_eq!(Plan::parse(&plan.text()).unwrap(), plan);
        let name = Sourced::from(plan.clone()).to_string();
        assert!(name.starts_with("plan#") && name.len() == 13, "{name}");
        let source = Source { path: "some/quick.toml".into(), sha256: "0123456789abcdef".into() };
        assert_eq!(Sourced { value: plan, source: Some(source) }.to_string(), "file:quick.toml#01234567");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,120}", tail in ".{0,40}") {
            let _ = Plan::parse(&text);
            let _ = Plan::parse(&format!("[[sites]]\nmatch = {tail}\nrange = 1"));
        }
    }
}
