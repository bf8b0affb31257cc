//! Whether a worker fits a class of pods: one meaning, which workers (what to pull) and
//! coordinators (what to say) both ask for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use crate::wire::{Class, Expression, Need, Offer, Request, Taint, Term, Toleration};

/// The most that [`reluctance`] can be: the last priority that nats-server knows for a pull.
pub const RELUCTANT: u8 = 9;

/// Why a worker does not run the pods of a class, in Kubernetes' words where it has some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mismatch(pub String);

/// Whether the worker named `name` that offers this may run pods of `class`.
///
/// # Errors
///
/// The first reason why not.
pub fn fits(class: &Class, name: &str, offer: &Offer) -> Result<(), Mismatch> {
    let no = |why: &str| Err(Mismatch(why.to_owned()));
    if class.node_name.as_ref().is_some_and(|wanted| wanted != name) {
        return no("node(s) didn't match the requested node name");
    }
    if let Some(taint) = untolerated(class, &offer.taints) {
        return Err(Mismatch(format!(
            "node(s) had untolerated taint {{{}: {}}}",
            taint.key, taint.value
        )));
    }
    let selected = class.selector.iter().all(|(key, value)| offer.labels.get(key) == Some(value));
    let matches = |term: &Term| term_matches(term, name, &offer.labels);
    if !selected || !class.affinity.is_empty() && !class.affinity.iter().any(matches) {
        return no("node(s) didn't match Pod's node affinity/selector");
    }
    if class.runtime_class.as_ref().is_some_and(|wanted| !offer.runtimes.contains(wanted)) {
        return no("node(s) didn't have the requested runtime class");
    }
    if let Some(need) = class.needs.iter().find(|need| !offer.abilities.contains(need)) {
        return Err(Mismatch(format!("node(s) cannot {}", ability(*need))));
    }
    let foreign = |user: &&u32| **user != offer.user;
    let is_root = offer.abilities.contains(&Need::Root);
    if let Some(user) = class.users.iter().find(foreign).filter(|_| !is_root) {
        return Err(Mismatch(format!("node(s) cannot run pods as user {user}")));
    }
    if let Some(path) = class.host_paths.iter().find(|path| !allowed(path, offer)) {
        return Err(Mismatch(format!("node(s) do not allow hostPath {path}")));
    }
    match too_large(&class.request, offer) {
        Some(resource) => Err(Mismatch(format!("Insufficient {resource}"))),
        None => Ok(()),
    }
}

/// How much less than another worker this one is preferred for `class`: 0 for one that matches all
/// that is preferred, [`RELUCTANT`] for one that matches nothing of it. Of those that have room the
/// least reluctant is served first.
#[must_use]
pub fn reluctance(class: &Class, name: &str, offer: &Offer) -> u8 {
    let weight = |matched: &dyn Fn(&Term) -> bool| {
        let terms = class.preferred.iter().filter(|it| matched(&it.term));
        terms.map(|it| u64::from(it.weight)).sum::<u64>()
    };
    let all = weight(&|_| true);
    let matched = weight(&|term| term_matches(term, name, &offer.labels));
    match (matched, all - matched) {
        (_, 0) => 0,
        (0, _) => RELUCTANT,
        // Whoever matches something comes before who matches nothing, however little it is.
        (_, missed) => u8::try_from(missed.saturating_mul(u64::from(RELUCTANT)).div_ceil(all))
            .unwrap_or(RELUCTANT)
            .min(RELUCTANT - 1),
    }
}

/// Why each of these workers (name and offer) does not run pods of `class`, of those that do not. A
/// worker without an offer is of a version that takes only pods that ask for nothing.
pub fn refusals<'a>(
    class: &Class,
    workers: impl Iterator<Item = (&'a str, Option<Cow<'a, Offer>>)>,
) -> Vec<Mismatch> {
    let refusal = |(name, offer): (&str, Option<Cow<'_, Offer>>)| match offer {
        Some(offer) => fits(class, name, &offer).err(),
        None if *class == Class::default() => None,
        None => Some(Mismatch("node(s) are of an older version".to_owned())),
    };
    workers.filter_map(refusal).collect()
}

/// How many pods of `class` the worker could run at a time if it ran nothing else.
#[must_use]
pub fn room(request: &Request, offer: &Offer) -> u64 {
    let has = &offer.allocatable;
    let times = |has: u64, asked: u64| has.checked_div(asked).unwrap_or(u64::MAX);
    let cpu = times(has.cpu_milli, request.cpu_milli.unwrap_or(offer.default_cpu_milli));
    let others = request.others.iter();
    let others =
        others.map(|(name, asked)| times(has.others.get(name).copied().unwrap_or(0), *asked)).min();
    has.pods.min(cpu).min(times(has.memory, request.memory)).min(others.unwrap_or(u64::MAX))
}

/// What Kubernetes' scheduler says when no node fits, of the reasons of all of them.
#[must_use]
pub fn describe(reasons: &[Mismatch]) -> String {
    let mut counts: BTreeMap<&Mismatch, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let count = reasons.len();
    if count == 0 {
        return "no workers available to run pods".to_owned();
    }
    let mut told: Vec<String> =
        counts.into_iter().map(|(Mismatch(reason), count)| format!("{count} {reason}")).collect();
    told.sort();
    format!("0/{count} nodes are available: {}.", told.join(", "))
}

fn too_large(request: &Request, offer: &Offer) -> Option<String> {
    let has = &offer.allocatable;
    if request.cpu_milli.unwrap_or(offer.default_cpu_milli) > has.cpu_milli {
        return Some("cpu".to_owned());
    }
    if request.memory > has.memory {
        return Some("memory".to_owned());
    }
    let mut others = request.others.iter();
    let other = others.find(|(name, asked)| has.others.get(*name).copied().unwrap_or(0) < **asked);
    other.map(|(name, _)| name.clone()).or_else(|| (has.pods == 0).then(|| "pods".to_owned()))
}

fn untolerated<'a>(class: &Class, taints: &'a [Taint]) -> Option<&'a Taint> {
    // A preference keeps nobody away.
    let hard = |taint: &&Taint| taint.effect != "PreferNoSchedule";
    let tolerated = |taint: &&Taint| class.tolerations.iter().any(|it| tolerates(it, taint));
    taints.iter().filter(hard).find(|taint| !tolerated(taint))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    (toleration.key.is_empty() || toleration.key == taint.key)
        && (toleration.effect.is_empty() || toleration.effect == taint.effect)
        && toleration.value.as_ref().is_none_or(|value| *value == taint.value)
}

/// A term that says nothing matches nothing, as in Kubernetes.
fn term_matches(term: &Term, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let own = BTreeMap::from([("metadata.name".to_owned(), name.to_owned())]);
    !(term.labels.is_empty() && term.fields.is_empty())
        && term.labels.iter().all(|it| expression_holds(it, labels))
        && term.fields.iter().all(|it| expression_holds(it, &own))
}

fn expression_holds(it: &Expression, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&it.key);
    let listed = value.is_some_and(|value| it.values.contains(value));
    let number = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
    let compared = || Some(number(value)?.cmp(&number(it.values.first())?));
    match it.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared() == Some(std::cmp::Ordering::Greater),
        "Lt" => compared() == Some(std::cmp::Ordering::Less),
        // Admission lets nothing else in.
        _ => false,
    }
}

fn allowed(path: &str, offer: &Offer) -> bool {
    offer.host_paths.iter().any(|allowed| Path::new(path).starts_with(allowed))
}

fn ability(need: Need) -> &'static str {
    match need {
        Need::Views => "mount volumes",
        Need::MemoryVolumes => "limit volumes in memory",
        Need::Root => "run pods as other users",
        Need::NotRoot => "run pods as another user than root that is not named",
        Need::MemoryLimits => "limit memory",
        Need::CpuLimits => "limit CPU",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Allocatable, Preference};

    fn offer() -> Offer {
        Offer {
            labels: BTreeMap::from([("zone".into(), "a".into()), ("gen".into(), "7".into())]),
            allocatable: Allocatable {
                cpu_milli: 4000,
                memory: 1 << 30,
                pods: 10,
                others: BTreeMap::from([("example.com/gpu".into(), 2)]),
            },
            default_cpu_milli: 1000,
            host_paths: vec!["/data".into()],
            ..Offer::default()
        }
    }

    fn check(class: &Class, expect: Result<(), &str>) {
        let found = fits(class, "one", &offer());
        assert_eq!(found, expect.map_err(|text| Mismatch(text.to_owned())), "{class:?}");
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> Expression {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Expression { key: key.into(), operator: operator.into(), values }
    }

    fn with_term(labels: Vec<Expression>, fields: Vec<Expression>) -> Class {
        Class { affinity: vec![Term { labels, fields }], ..Class::default() }
    }

    #[test]
    fn who_matches_more_of_what_is_preferred_is_less_reluctant() {
        let preferred = |weights: &[(u32, &str)]| {
            let one = |(weight, zone): &(u32, &str)| Preference {
                weight: *weight,
                term: Term { labels: vec![expression("zone", "In", &[zone])], fields: Vec::new() },
            };
            Class { preferred: weights.iter().map(one).collect(), ..Class::default() }
        };
        let of = |weights: &[(u32, &str)]| reluctance(&preferred(weights), "one", &offer());
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[(1, "a")]), 0);
        assert_eq!(of(&[(100, "b")]), RELUCTANT);
        assert_eq!(of(&[(100, "a"), (100, "b")]), 5);
        // Something is more than nothing, and less than all.
        assert_eq!(of(&[(1, "a"), (100, "b")]), RELUCTANT - 1);
        assert_eq!(of(&[(100, "a"), (1, "b")]), 1);
    }

    #[test]
    fn labels_names_and_affinity_choose_workers() {
        let no = Err("node(s) didn't match Pod's node affinity/selector");
        let selector = |value: &str| Class {
            selector: BTreeMap::from([("zone".into(), value.into())]),
            ..Class::default()
        };
        check(&Class::default(), Ok(()));
        check(&selector("a"), Ok(()));
        check(&selector("b"), no);
        let named = |name: &str| Class { node_name: Some(name.into()), ..Class::default() };
        check(&named("one"), Ok(()));
        check(&named("two"), Err("node(s) didn't match the requested node name"));
        for (key, operator, values, fits) in [
            ("zone", "In", &["a", "b"][..], true),
            ("zone", "In", &["b"], false),
            ("zone", "NotIn", &["a"], false),
            ("none", "NotIn", &["a"], true),
            ("zone", "Exists", &[], true),
            ("none", "Exists", &[], false),
            ("none", "DoesNotExist", &[], true),
            ("gen", "Gt", &["6"], true),
            ("gen", "Gt", &["7"], false),
            ("gen", "Lt", &["8"], true),
            ("zone", "Lt", &["8"], false),
        ] {
            let class = with_term(vec![expression(key, operator, values)], vec![]);
            check(&class, if fits { Ok(()) } else { no });
        }
        check(&with_term(vec![], vec![expression("metadata.name", "In", &["one"])]), Ok(()));
        check(&with_term(vec![], vec![expression("metadata.name", "NotIn", &["one"])]), no);
        check(&with_term(vec![], vec![]), no);
    }

    #[test]
    fn taints_keep_away_who_does_not_tolerate_them() {
        let taint =
            |effect: &str| Taint { key: "gpu".into(), value: "yes".into(), effect: effect.into() };
        let tainted = |effect| Offer { taints: vec![taint(effect)], ..offer() };
        let tolerating = |key: &str, value: Option<&str>, effect: &str| Class {
            tolerations: vec![Toleration {
                key: key.into(),
                value: value.map(Into::into),
                effect: effect.into(),
            }],
            ..Class::default()
        };
        for (class, effect, expect) in [
            (Class::default(), "NoSchedule", false),
            (Class::default(), "PreferNoSchedule", true),
            (tolerating("gpu", Some("yes"), "NoSchedule"), "NoSchedule", true),
            (tolerating("gpu", Some("no"), ""), "NoSchedule", false),
            (tolerating("gpu", None, ""), "NoExecute", true),
            (tolerating("gpu", None, "NoSchedule"), "NoExecute", false),
            (tolerating("", None, ""), "NoExecute", true),
        ] {
            assert_eq!(fits(&class, "one", &tainted(effect)).is_ok(), expect, "{class:?}");
        }
    }

    #[test]
    fn what_is_too_large_never_fits_and_the_rest_is_counted() {
        let asking = |cpu: Option<u64>, memory, gpus: u64| Class {
            request: Request {
                cpu_milli: cpu,
                memory,
                others: BTreeMap::from([("example.com/gpu".into(), gpus)]),
            },
            ..Class::default()
        };
        check(&asking(Some(4001), 0, 0), Err("Insufficient cpu"));
        check(&asking(None, (1 << 30) + 1, 0), Err("Insufficient memory"));
        check(&asking(None, 0, 3), Err("Insufficient example.com/gpu"));
        check(&asking(Some(4000), 1 << 30, 2), Ok(()));
        for (class, expect) in [
            (Class::default(), 4),
            (asking(Some(100), 0, 0), 10),
            (asking(Some(0), 1 << 29, 0), 2),
            (asking(Some(1), 0, 1), 2),
        ] {
            assert_eq!(room(&class.request, &offer()), expect, "{class:?}");
        }
    }

    #[test]
    fn abilities_and_files_of_the_machine() {
        let needing = Class { needs: [Need::Root].into(), ..Class::default() };
        check(&needing, Err("node(s) cannot run pods as other users"));
        let as_user = |user| Class { users: [user].into(), ..Class::default() };
        check(&as_user(0), Ok(()));
        check(&as_user(1000), Err("node(s) cannot run pods as user 1000"));
        let path = |path: &str| Class { host_paths: [path.to_owned()].into(), ..Class::default() };
        check(&path("/data/x"), Ok(()));
        check(&path("/database"), Err("node(s) do not allow hostPath /database"));
    }

    #[test]
    fn reasons_are_counted_as_the_scheduler_does() {
        let reasons = ["a", "b", "a"].map(|text| Mismatch(text.to_owned()));
        assert_eq!(describe(&reasons), "0/3 nodes are available: 1 b, 2 a.");
        assert_eq!(describe(&[]), "no workers available to run pods");
    }

    #[test]
    fn a_class_is_named_by_what_it_asks_for() {
        assert_eq!(Class::default().name(), "default");
        let one = Class { priority: 1, ..Class::default() };
        assert_eq!(one.name(), Class { priority: 1, ..Class::default() }.name());
        assert_ne!(one.name(), Class { priority: 2, ..Class::default() }.name());
        let read: Class = serde_json::from_slice(&serde_json::to_vec(&one).unwrap()).unwrap();
        assert_eq!(read, one);
    }
}
